#include "models/model/transformer.h"

#include <numeric>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/pairs.h"
#include "core/kernels/rows.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/view.h"
#include "models/parts/rope_tables.h"
#include "parallel/pp/pipeline_schedule.h"
#include "parallel/tp/vocabulary.h"

namespace troupe {
namespace {

// first, first + 1, ...
Tensor rising(int64_t count, int64_t first, const std::shared_ptr<Device>& device) {
  std::vector<int32_t> positions(static_cast<size_t>(count));
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(first));
  return Tensor::from(positions, {count}, device);
}

// The entries [tokens] of the attention rows.
Tensor attention_rows(const Tensor& values, const TokenSharding& sharding) {
  const std::vector<int32_t>& rows = sharding.attention_rows();
  if (static_cast<int64_t>(rows.size()) == values.dim(0)) return values;
  Tensor out = Tensor::empty({static_cast<int64_t>(rows.size())}, DType::i32, values.device());
  const Tensor entries = Tensor::from(std::span<const int32_t>(rows), out.shape(), values.device());
  kernels::take_entries(out.stream(), values.view(), entries.view(), out.view());
  return out;
}

// x; backward beyond it is that of `layer`.
Tensor backward_enters(const Tensor& x, StepPosition& position, int layer) {
  return on_backward("layer", x, [&position, layer] { position.layer = layer; });
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, const TransformerParts& parts, const Mesh& mesh,
                         const std::shared_ptr<Device>& device, uint64_t seed)
    : config_(config),
      mesh_(mesh),
      region_(mesh),
      device_(device),
      virtual_stages_(mesh.size(Axis::pp) * chunks_per_stage(mesh.parallelism())),
      unit_plan_(unit_plan(config, parts)) {
  require(static_cast<int64_t>(config.moe.size()) == config.layers,
          "{} layer entries for {} layers", config.moe.size(), config.layers);
  if (config.layers < virtual_stages_) {
    fail(ExitCode::usage,
         "{} layers are too few for the {} pieces of the model (pp {} x virtual_stages {})",
         config.layers, virtual_stages_, mesh.size(Axis::pp), chunks_per_stage(mesh.parallelism()));
  }
  ModuleContext context;
  context.mesh = &mesh;
  context.device = device;
  context.seed = seed;
  context.parameters = parameter_context(config, mesh.parallelism());
  context.rope_tables = std::make_shared<RopeTables>();
  context.routers = std::make_shared<StageRouters>();
  const int stage = mesh.coordinate(Axis::pp);
  const bool last_stage = holds_last_piece(stage, mesh.size(Axis::pp));
  if (stage == 0) {
    make_embedding(context);
    if (parts.positions) {
      positions_ = parts.positions->make("positions", context);
      positions_->parameters(parameters_);
    }
  }
  for (int chunk = 0; chunk < chunks_per_stage(mesh.parallelism()); ++chunk) {
    make_chunk(chunk, parts, context);
  }
  if (!last_stage) return;
  norm_ = parts.norm->make("norm", context);
  norm_->parameters(parameters_);
  if (config.tie_embeddings) {
    if (embedding_ == nullptr) make_embedding(context);
    head_ = embedding_;
  } else {
    head_table_ =
        std::make_unique<ParameterSet>(head_parameters(config, context.parameters), context);
    head_ = &head_table_->at("head.weight");
    head_table_->append_to(parameters_);
  }
}

void Transformer::make_embedding(const ModuleContext& context) {
  table_ =
      std::make_unique<ParameterSet>(embedding_parameters(config_, context.parameters), context);
  embedding_ = &table_->at("embedding.weight");
  table_->append_to(parameters_);
}

void Transformer::make_chunk(int chunk, const TransformerParts& parts,
                             const ModuleContext& context) {
  const int virtual_stage = chunk * mesh_.size(Axis::pp) + mesh_.coordinate(Axis::pp);
  const bool wrong = mesh_.parallelism().planted == PlantedBug::stage_order;
  const LayerRange layers = layers_of_virtual_stage(
      config_.layers, virtual_stages_, wrong ? virtual_stages_ - 1 - virtual_stage : virtual_stage);
  Chunk made{virtual_stage, blocks_.size(), blocks_.size(), moe_layers_.size()};
  for (int64_t layer = layers.begin; layer < layers.end; ++layer) {
    blocks_.push_back(parts.blocks.at(static_cast<size_t>(layer))
                          ->make("layers." + std::to_string(layer), context));
    blocks_.back()->parameters(parameters_);
    layer_numbers_.push_back(static_cast<int>(layer));
    if (MoELayer* moe = blocks_.back()->moe(); moe != nullptr) {
      moe_layers_.push_back(moe);
      moe_layer_numbers_.push_back(layer);
    }
  }
  made.end = blocks_.size();
  chunks_.push_back(made);
}

std::vector<std::string> Transformer::units() const {
  std::vector<std::string> units;
  for (const Parameter* parameter : parameters_) units.push_back(value_unit(parameter->name()));
  return units;
}

std::vector<ValueUse> Transformer::step_uses(const Pipeline& pipeline) const {
  return troupe::step_uses(unit_plan_, pipeline, mesh_.coordinate(Axis::pp));
}

MicroBatchContext Transformer::stream(const TokenContext& tokens) const {
  MicroBatchContext stream;
  stream.tokens = tokens;
  stream.sharding = std::make_shared<const TokenSharding>(mesh_.parallelism(), mesh_.coordinates(),
                                                          tokens.sequences, tokens.seq_len);
  const auto rows = static_cast<int64_t>(stream.sharding->attention_rows().size());
  std::vector<int32_t> positions;
  for (int64_t i = 0; i < rows; ++i)
    positions.push_back(static_cast<int32_t>(stream.sharding->position(i)));
  stream.positions = Tensor::from(std::span<const int32_t>(positions), {rows}, device_);
  return stream;
}

Tensor Transformer::embed(const MicroBatchContext& stream) {
  const TokenContext& tokens = stream.tokens;
  const Tensor rows = with_unit("embedding", [&] {
    return embedding(*embedding_, attention_rows(tokens.token_ids, *stream.sharding));
  });
  Tensor x_TD = region_.leave(rows, "embedding");
  if (positions_) {
    x_TD = with_unit("positions", [&] { return positions_->forward(x_TD, stream); });
  }
  if (!tokens.training || config_.dropout == 0) return x_TD;
  return dropout(x_TD, config_.dropout, Random(tokens.seed, "dropout", "embedding"),
                 stream_draws(stream, device_));
}

template <typename Run>
Tensor Transformer::with_unit(const char* unit, Run&& run) {
  if (gatherer_ == nullptr) return run();
  gatherer_->gather(unit);
  Tensor out = run();
  gatherer_->release(unit);
  return out;
}

template <typename Run>
Tensor Transformer::with_block(size_t block, const Tensor& x_TD, Run&& run) {
  if (gatherer_ == nullptr) return run(x_TD);
  const std::string unit = value_unit("layers." + std::to_string(layer_numbers_[block]));
  ParameterGatherer* gatherer = gatherer_;
  gatherer->gather(unit);
  const Tensor y_TD =
      run(on_backward("values go", x_TD, [gatherer, unit] { gatherer->release(unit); }));
  gatherer->release(unit);
  return on_backward("values come", y_TD, [gatherer, unit] { gatherer->gather(unit); });
}

Tensor Transformer::forward_chunk(int index, const Tensor& x_TD, const MicroBatchContext& stream,
                                  std::vector<RoutingRecord>* routing,
                                  const std::vector<SparseAssignment>* replay) {
  const Chunk& chunk = chunks_.at(static_cast<size_t>(index));
  StepPosition& position = mesh_.world().position();
  const PositionScope before(position);
  require(chunk.virtual_stage == 0 || x_TD.defined(), "a later piece of the model without a value");
  Tensor value_TD = chunk.virtual_stage == 0 ? backward_enters(embed(stream), position, -1) : x_TD;
  size_t moe = chunk.first_moe;
  for (size_t i = chunk.first; i < chunk.end; ++i) {
    Block& block = *blocks_[i];
    const bool is_moe = block.moe() != nullptr;
    RoutingRecord record;
    const SparseAssignment* replayed = is_moe && replay != nullptr ? &replay->at(moe) : nullptr;
    position.layer = layer_numbers_[i];
    const auto run = [&](const Tensor& x) { return block.forward(x, stream, record, replayed); };
    value_TD = backward_enters(with_block(i, value_TD, run), position, layer_numbers_[i]);
    if (!is_moe) continue;
    ++moe;
    if (routing != nullptr) routing->push_back(std::move(record));
  }
  return value_TD;
}

Tensor Transformer::normed(const Tensor& x_TD) {
  require(norm_ != nullptr, "the head is on the last stage");
  const Tensor rows = with_unit(kStayingUnit, [&] { return norm_->forward(x_TD); });
  return region_.enter(rows, "head");
}

Tensor Transformer::loss(const Tensor& x_TD, const MicroBatchContext& stream,
                         const Tensor& targets) {
  require(stream.tokens.global_tokens > 0, "a batch without tokens");
  const Tensor rows = normed(x_TD);
  return with_unit(head_unit(), [&] {
    return linear_cross_entropy(rows, *head_, attention_rows(targets, *stream.sharding),
                                1.0 / static_cast<double>(stream.tokens.predictions()), {},
                                join_vocabulary(region_));
  });
}

Tensor Transformer::through_pipeline(const MicroBatchContext& stream) {
  Communicator& pipeline = mesh_.group(Axis::pp);
  const int stages = pipeline.size();
  Tensor value_TD;
  for (const Chunk& chunk : chunks_) {
    if (chunk.virtual_stage > 0 && stages > 1) {
      const auto rows = static_cast<int64_t>(stream.sharding->stream_rows().size());
      value_TD = Tensor::empty({rows, config_.dim}, config_.compute, device_);
      const int from = (pipeline.rank() + stages - 1) % stages;
      pipeline.receive(value_TD.view(), from, "stage values").wait(device_->stream());
    }
    value_TD = forward_chunk(static_cast<int>(&chunk - chunks_.data()), value_TD, stream, nullptr,
                             nullptr);
    if (!is_last(chunk)) {
      pipeline.send(value_TD.view(), (pipeline.rank() + 1) % stages, "stage values")
          .wait(device_->stream());
    }
  }
  return value_TD;
}

void Transformer::announce_forward() const {
  if (gatherer_ == nullptr) return;
  std::vector<ValueUse> uses;
  for (const Chunk& chunk : chunks_) {
    const std::vector<ValueUse> some =
        forward_uses(unit_plan_, virtual_stages_, chunk.virtual_stage);
    uses.insert(uses.end(), some.begin(), some.end());
  }
  gatherer_->announce(std::move(uses));
}

Tensor Transformer::nll(const TokenContext& tokens, const Tensor& targets) {
  NoGrad no_grad;
  announce_forward();
  const MicroBatchContext micro_batch = stream(tokens);
  const Tensor x_TD = through_pipeline(micro_batch);
  const std::vector<int32_t>& rows = micro_batch.sharding->attention_rows();
  Communicator& pipeline = mesh_.group(Axis::pp);
  Tensor nll;
  if (is_last(chunks_.back())) {
    const Tensor last = normed(x_TD);
    nll = with_unit(head_unit(), [&] {
      return token_nll(last, *head_, attention_rows(targets, *micro_batch.sharding),
                       join_vocabulary(region_));
    });
  } else {
    nll = Tensor::empty({static_cast<int64_t>(rows.size())}, wide(config_.compute), device_);
  }
  if (pipeline.size() > 1) {
    pipeline.broadcast(nll.view(), pipeline.size() - 1, "token losses").wait(device_->stream());
  }
  if (mesh_.size(Axis::cp) == 1) return nll;
  // Every cp rank holds as many tokens; their losses back into the order of the micro-batch.
  Communicator& cp = mesh_.group(Axis::cp);
  Tensor out = Tensor::zeros({tokens.tokens()}, nll.dtype(), device_);
  const Tensor places = Tensor::from(std::span<const int32_t>(rows), nll.shape(), device_);
  kernels::take_elements_gradient(out.stream(), nll.view(), places.view(), out.view());
  cp.all_reduce_sum(out.view(), "token losses").wait(device_->stream());
  return out;
}

ModelCache Transformer::make_cache(int64_t capacity) const {
  ModelCache cache;
  for (const auto& block : blocks_) cache.layers.push_back(block->make_cache(capacity, device_));
  return cache;
}

Tensor Transformer::decode(const std::vector<int32_t>& ids, ModelCache& cache,
                           std::vector<RoutingRecord>* routing) {
  require(virtual_stages_ == 1, "generation needs the whole model on one stage");
  NoGrad no_grad;
  const auto count = static_cast<int64_t>(ids.size());
  TokenContext tokens =
      token_context({0}, count, Tensor::from(std::span<const int32_t>(ids), {count}, device_),
                    {.sequences = 1, .tokens = count, .micro_batch = 1});
  tokens.dropless = true;
  const Tensor positions = rising(count, cache.length, device_);
  announce_forward();
  Tensor x_TD = with_unit("embedding", [&] { return embedding(*embedding_, tokens.token_ids); });
  if (positions_) {
    x_TD = with_unit("positions", [&] { return positions_->decode(x_TD, positions); });
  }
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    RoutingRecord record;
    x_TD = with_block(layer, x_TD, [&](const Tensor& x) {
      return blocks_[layer]->decode(x, tokens, positions, *cache.layers[layer], record);
    });
    if (routing != nullptr && blocks_[layer]->moe() != nullptr)
      routing->push_back(std::move(record));
  }
  cache.length += count;
  const Tensor last = narrow(x_TD, 0, count - 1, 1);
  const Tensor rows = with_unit(kStayingUnit, [&] { return norm_->forward(last); });
  const Tensor logits = with_unit(head_unit(), [&] { return linear(rows, *head_); });
  return cast(reshape(logits, {config_.vocab}), wide(config_.compute));
}

}  // namespace troupe
