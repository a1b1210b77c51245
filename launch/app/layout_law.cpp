#include "launch/app/layout_law.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "core/base/error.h"
#include "core/base/random.h"
#include "moe/routers/table.h"
#include "parallel/comm/thread_world.h"

namespace troupe::laws {
namespace {

constexpr int64_t kVocab = 31;

// Tokens are a pure function of step and sample.
TokenBatch make_batch(const EngineConfig& config, int64_t step,
                      const std::vector<int64_t>& samples) {
  TokenBatch batch;
  batch.sequences = static_cast<int64_t>(samples.size());
  batch.seq_len = config.model.seq_len;
  batch.samples = samples;
  const Random random(7, "law tokens");
  for (int64_t sample : samples) {
    for (int64_t s = 0; s < batch.seq_len; ++s) {
      const auto index =
          static_cast<uint64_t>((step * config.global_batch + sample) * (batch.seq_len + 1) + s);
      batch.ids.push_back(static_cast<int32_t>(random.below(index, kVocab)));
      batch.targets.push_back(static_cast<int32_t>(random.below(index + 1, kVocab)));
      batch.documents.push_back(0);
      batch.valid.push_back(1);
    }
  }
  batch.predictions = batch.sequences * batch.seq_len;
  return batch;
}

// The global tensor from the boxes of all ranks: each element comes from one of the ranks that hold
// it.
std::vector<double> gather(const Parameter& parameter, const Tensor& local, const Mesh& mesh,
                           const std::shared_ptr<Device>& device) {
  const Layout& layout = parameter.layout();
  const Tensor sum = Tensor::zeros(layout.global, DType::f64, device);
  if (replica_index(layout, mesh.shape(), mesh.coordinates()) == 0) {
    const std::vector<double> values = local.values();
    const Shape strides = contiguous_strides(layout.global);
    const Shape local_strides = contiguous_strides(parameter.slice().shape);
    for (const LocalPart& part : parameter.slice().parts) {
      for (int64_t i = 0; i < part.global.size.elements(); ++i) {
        int64_t rest = i;
        int64_t global = 0;
        int64_t here = 0;
        for (int dim = layout.global.rank() - 1; dim >= 0; --dim) {
          const int64_t at = rest % part.global.size[dim];
          rest /= part.global.size[dim];
          global += (part.global.offset[dim] + at) * strides[dim];
          here += (part.local_offset[dim] + at) * local_strides[dim];
        }
        sum.data<double>()[global] = values[static_cast<size_t>(here)];
      }
    }
  }
  mesh.world().all_reduce_sum(sum.view(), "gather for the law").wait();
  return sum.values();
}

std::vector<Named> gather_all(TrainingEngine& engine, bool gradients,
                              const std::shared_ptr<Device>& device) {
  std::vector<Named> out;
  for (Parameter* parameter : engine.model().parameters()) {
    const Tensor& local = gradients ? parameter->gradient() : parameter->value();
    out.push_back({parameter->name(), gather(*parameter, local, engine.mesh(), device)});
  }
  return out;
}

// The assignment of each global sample, from every rank's micro-batches.
std::vector<std::vector<Assignment>> gather_assignments(TrainingEngine& engine,
                                                        const std::shared_ptr<Device>& device) {
  const EngineConfig& config = engine.config();
  const int64_t seq_len = config.model.seq_len;
  const size_t layers = engine.model().moe_layers().size();
  Communicator& world = engine.mesh().world();
  std::vector<std::vector<Assignment>> out(
      layers, std::vector<Assignment>(static_cast<size_t>(config.global_batch)));
  for (size_t layer = 0; layer < layers; ++layer) {
    for (int64_t sample = 0; sample < config.global_batch; ++sample) {
      const int64_t block = sample / config.micro_batch;
      const bool mine = block % world.size() == world.rank();
      std::vector<uint8_t> bytes;
      if (mine) {
        const Assignment& micro =
            engine.last_assignments().at(static_cast<size_t>(block / world.size())).at(layer);
        const int64_t begin = sample % config.micro_batch * seq_len;
        bytes = to_bytes(slice_tokens(micro, begin, begin + seq_len));
      }
      auto size = static_cast<int64_t>(bytes.size());
      const int root = static_cast<int>(block % world.size());
      Tensor length = Tensor::from(std::vector<int64_t>{size}, {1}, device);
      world.broadcast(length.view(), root, "law sizes").wait();
      Tensor data = Tensor::empty({length.integers()[0]}, DType::u8, device);
      if (mine) std::copy(bytes.begin(), bytes.end(), data.data<uint8_t>());
      world.broadcast(data.view(), root, "law assignments").wait();
      const auto* begin = data.data<uint8_t>();
      out[layer][static_cast<size_t>(sample)] =
          assignment_from_bytes({begin, static_cast<size_t>(data.elements())});
    }
  }
  return out;
}

// What the routers compared in the forwards of one step, on this rank.
using Compared = std::vector<std::vector<std::vector<double>>>;  // [layer][micro-batch][T * E]

void observe_selection(TrainingEngine& engine, Compared& compared) {
  const std::vector<MoELayer*>& layers = engine.model().moe_layers();
  compared.assign(layers.size(), {});
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i]->observe_routing([&compared, i](const Routing& routing) {
      compared[i].push_back(routing.selection_TE.defined() ? routing.selection_TE.values()
                                                           : std::vector<double>{});
    });
  }
}

// The same by layer and global sample. A micro-batch is whole on its rank.
std::vector<std::vector<double>> gather_selection(TrainingEngine& engine, const Compared& compared,
                                                  const std::shared_ptr<Device>& device) {
  const EngineConfig& config = engine.config();
  Communicator& world = engine.mesh().world();
  std::vector<std::vector<double>> out;
  for (size_t layer = 0; layer < compared.size(); ++layer) {
    const int64_t row = config.model.seq_len * engine.model().moe_layers()[layer]->config().experts;
    const Tensor sum = Tensor::zeros(Shape{config.global_batch * row}, DType::f64, device);
    bool any = false;
    for (size_t micro = 0; micro < compared[layer].size(); ++micro) {
      const std::vector<double>& values = compared[layer][micro];
      const std::vector<int64_t> samples =
          micro_batch_samples(config, world.size(), world.rank(), static_cast<int64_t>(micro));
      any = any || !values.empty();
      for (size_t i = 0; i < values.size(); ++i) {
        const auto at = static_cast<int64_t>(i);
        sum.data<double>()[samples[static_cast<size_t>(at / row)] * row + at % row] = values[i];
      }
    }
    world.all_reduce_sum(sum.view(), "law selection").wait();
    out.push_back(any ? sum.values() : std::vector<double>{});
  }
  return out;
}

// The recorded assignments of this rank's micro-batches.
std::vector<std::vector<Assignment>> replay_for(const LawResult& recorded,
                                                const EngineConfig& config, int64_t ranks,
                                                int64_t rank) {
  std::vector<std::vector<Assignment>> out;
  for (int64_t micro = 0; micro < config.global_batch / (ranks * config.micro_batch); ++micro) {
    std::vector<Assignment> layers;
    for (const auto& samples : recorded.assignments) {
      std::vector<Assignment> parts;
      for (int64_t sample : micro_batch_samples(config, ranks, rank, micro)) {
        parts.push_back(samples.at(static_cast<size_t>(sample)));
      }
      layers.push_back(join_tokens(parts));
    }
    out.push_back(std::move(layers));
  }
  return out;
}

void record_step(const StepResult& step, LawResult& result) {
  result.losses.push_back(step.loss);
  result.balance_losses.push_back(step.balance_loss);
  result.z_losses.push_back(step.z_loss);
  result.norms.push_back(step.grad_norm);
  std::vector<int64_t> counts;
  for (const RouterStats& layer : step.layers) {
    for (const auto* part : {&layer.selected, &layer.first, &layer.kept}) {
      counts.insert(counts.end(), part->begin(), part->end());
    }
  }
  result.counts.push_back(std::move(counts));
}

}  // namespace

EngineConfig small_engine(DType compute, const std::string& router) {
  EngineConfig engine;
  DecoderConfig& model = engine.model;
  model.layers = 2;
  model.dim = 12;
  model.heads = 2;
  model.kv_heads = 1;
  model.head_dim = 6;
  model.ffn_dim = 16;
  model.seq_len = 8;
  model.vocab = kVocab;
  model.init_std = 0.3;
  model.compute = compute;
  MoEConfig moe;
  moe.experts = 12;
  moe.ffn_dim = 10;
  moe.router = router;
  moe.router_options = Options(find_router(router)->fields);
  moe.shared_experts = 1;
  moe.shared_ffn_dim = 8;
  moe.min_capacity = 1;
  moe.router_precision = wide(compute);
  if (find_router(router)->needs_capacity) moe.capacity_factor = moe.capacity_factor_eval = 2.0;
  model.moe = {std::nullopt, moe};
  engine.seed = 11;
  engine.optimizer_options = Options(optimizer_fields("adamw"));
  engine.schedule_options = Options(schedule_fields("constant"));
  engine.lr = 1e-2;
  engine.clip = 0.5;  // small enough to act
  engine.steps = 5;
  engine.global_batch = 36;  // divides over 1, 2, 3 and 4 ranks with micro-batches of 3
  engine.micro_batch = 3;
  engine.token_counts.assign(kVocab, 1);
  return engine;
}

std::function<TokenBatch(int64_t micro)> law_batches(TrainingEngine& engine, int64_t step) {
  return [&engine, step](int64_t micro) {
    const Communicator& world = engine.mesh().world();
    return make_batch(engine.config(), step,
                      micro_batch_samples(engine.config(), world.size(), world.rank(), micro));
  };
}

LawResult run_law(const LawCase& law, std::shared_ptr<Communicator> world) {
  auto device = Device::cpu(law.threads);
  const Mesh mesh(MeshShape::data_expert(world->size(), law.ep), world);
  TrainingEngine engine(law.engine, mesh, device);
  LawResult result;
  std::vector<std::vector<Assignment>> replay;
  if (law.replay != nullptr)
    replay = replay_for(*law.replay, law.engine, world->size(), world->rank());
  for (int64_t step = 0; step < law.steps; ++step) {
    engine.keep_assignments(step == 0);
    Compared compared;
    if (step == 0) observe_selection(engine, compared);
    record_step(engine.step(step, law_batches(engine, step), false,
                            law.replay != nullptr ? &replay : nullptr),
                result);
    if (step == 0) {
      result.gradients = gather_all(engine, true, device);
      result.assignments = gather_assignments(engine, device);
      result.selection = gather_selection(engine, compared, device);
      for (MoELayer* layer : engine.model().moe_layers()) layer->observe_routing({});
    }
  }
  result.parameters = gather_all(engine, false, device);
  return result;
}

LawResult run_law_on_threads(const LawCase& law, int ranks) {
  LawResult result;
  run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
    LawResult mine = run_law(law, std::move(world));
    if (rank == 0) result = std::move(mine);
  });
  return result;
}

double worst_difference(const std::vector<Named>& a, const std::vector<Named>& b,
                        std::string& where) {
  require(a.size() == b.size(), "{} tensors against {}", a.size(), b.size());
  double squares = 0.0;
  int64_t count = 0;
  for (const Named& tensor : a) {
    for (double value : tensor.values) squares += value * value;
    count += static_cast<int64_t>(tensor.values.size());
  }
  const double floor = 1e-3 * std::sqrt(squares / static_cast<double>(count));
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    double largest = floor;
    double difference = 0.0;
    for (size_t j = 0; j < a[i].values.size(); ++j) {
      largest = std::max(largest, std::abs(a[i].values[j]));
      difference = std::max(difference, std::abs(a[i].values[j] - b[i].values[j]));
    }
    if (!(difference / largest <= worst)) {
      worst = difference / largest;
      where = a[i].name;
    }
  }
  return worst;
}

double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]) / std::max(std::abs(a[i]), 1e-12));
  }
  return worst;
}

uint64_t fingerprint(const LawResult& result) {
  uint64_t hash = 0;
  auto mix = [&hash](const auto& values) {
    hash = XXH3_64bits_withSeed(values.data(), values.size() * sizeof(values[0]), hash);
  };
  for (const auto* list : {&result.losses, &result.balance_losses, &result.z_losses, &result.norms})
    mix(*list);
  for (const auto& counts : result.counts) mix(counts);
  for (const auto* tensors : {&result.gradients, &result.parameters}) {
    for (const Named& tensor : *tensors) mix(tensor.values);
  }
  return hash;
}

}  // namespace troupe::laws
