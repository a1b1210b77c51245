#include "models/verify/layout_run.h"

#include <xxhash.h>

#include <algorithm>

#include "core/base/error.h"
#include "models/engine/drawn_batch.h"
#include "moe/routers/table.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe::laws {
namespace {

constexpr int64_t kVocab = 31;

// The MoE layers of the whole model, of which a pipeline stage holds some.
size_t all_moe_layers(const EngineConfig& config) {
  return static_cast<size_t>(std::count_if(config.model.moe.begin(), config.model.moe.end(),
                                           [](const auto& moe) { return moe.has_value(); }));
}

// The place of this rank's MoE layer `local` among them.
size_t place_of_layer(TrainingEngine& engine, size_t local) {
  const auto& moe = engine.config().model.moe;
  const auto number = engine.model().moe_layer_numbers()[local];
  return static_cast<size_t>(std::count_if(moe.begin(), moe.begin() + number,
                                           [](const auto& layer) { return layer.has_value(); }));
}

// All ranks of a data rank route its micro-batches alike; the first of them speaks.
bool speaks(const Mesh& mesh) {
  return mesh.coordinate(Axis::cp) == 0 && mesh.coordinate(Axis::tp) == 0;
}

std::vector<int64_t> own_samples(const TrainingEngine& engine, const Mesh& mesh, int64_t micro) {
  return micro_batch_samples(engine.config(), mesh.size(Axis::dp), mesh.coordinate(Axis::dp),
                             micro);
}

void append(int64_t value, std::vector<uint8_t>& bytes) {
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

int64_t take(const std::vector<uint8_t>& bytes, size_t& at) {
  int64_t value = 0;
  for (int i = 0; i < 8; ++i) value |= static_cast<int64_t>(bytes[at++]) << (8 * i);
  return value;
}

// The assignment of each global sample, from every rank's micro-batches: [layer][sample].
std::vector<std::vector<SparseAssignment>> gather_assignments(
    TrainingEngine& engine, const std::shared_ptr<Device>& device) {
  const EngineConfig& config = engine.config();
  const int64_t seq_len = config.model.seq_len;
  std::vector<uint8_t> own;
  for (size_t micro = 0; speaks(engine.mesh()) && micro < engine.last_assignments().size();
       ++micro) {
    const auto& layers = engine.last_assignments()[micro];
    const auto samples = own_samples(engine, engine.mesh(), static_cast<int64_t>(micro));
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      for (size_t i = 0; i < samples.size(); ++i) {
        const auto begin = static_cast<int64_t>(i) * seq_len;
        const auto bytes = to_bytes(slice_tokens(layers[layer], begin, begin + seq_len));
        append(static_cast<int64_t>(place_of_layer(engine, layer)), own);
        append(samples[i], own);
        append(static_cast<int64_t>(bytes.size()), own);
        own.insert(own.end(), bytes.begin(), bytes.end());
      }
    }
  }
  std::vector<std::vector<SparseAssignment>> out(
      all_moe_layers(config),
      std::vector<SparseAssignment>(static_cast<size_t>(config.global_batch)));
  for (const auto& bytes : gather_bytes(own, engine.mesh().all(), device)) {
    for (size_t at = 0; at < bytes.size();) {
      const auto layer = static_cast<size_t>(take(bytes, at));
      const auto sample = static_cast<size_t>(take(bytes, at));
      const auto size = static_cast<size_t>(take(bytes, at));
      out[layer][sample] = assignment_from_bytes({bytes.data() + at, size});
      at += size;
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
std::vector<std::vector<double>> gather_selection(TrainingEngine& engine,
                                                  const Compared& compared) {
  const EngineConfig& config = engine.config();
  std::vector<std::vector<double>> out(all_moe_layers(config));
  size_t place = 0;
  for (const auto& moe : config.model.moe) {
    if (!moe) continue;
    const int64_t row = config.model.seq_len * moe->experts;
    const int64_t length = config.global_batch * row + 1;
    std::vector<double> values(static_cast<size_t>(length), 0.0);
    for (size_t layer = 0; speaks(engine.mesh()) && layer < compared.size(); ++layer) {
      if (place_of_layer(engine, layer) != place) continue;
      for (size_t micro = 0; micro < compared[layer].size(); ++micro) {
        const std::vector<double>& own = compared[layer][micro];
        const auto samples = own_samples(engine, engine.mesh(), static_cast<int64_t>(micro));
        if (!own.empty()) values.back() = 1.0;
        for (size_t i = 0; i < own.size(); ++i) {
          const auto at = static_cast<int64_t>(i);
          values[static_cast<size_t>(samples[static_cast<size_t>(at / row)] * row + at % row)] =
              own[i];
        }
      }
    }
    engine.mesh()
        .all()
        .all_reduce_sum({values.data(), DType::f64, {length}, {1}}, "law selection")
        .finish();
    if (values.back() > 0) {
      out[place] = values;
      out[place].pop_back();
    }
    ++place;
  }
  return out;
}

// The recorded assignments of this rank's micro-batches and layers.
std::vector<std::vector<SparseAssignment>> replay_for(
    const std::vector<std::vector<SparseAssignment>>& recorded, TrainingEngine& engine) {
  std::vector<std::vector<SparseAssignment>> out;
  for (int64_t micro = 0; micro < engine.micro_batches(); ++micro) {
    std::vector<SparseAssignment> layers;
    for (size_t layer = 0; layer < engine.model().moe_layers().size(); ++layer) {
      std::vector<SparseAssignment> parts;
      for (int64_t sample : own_samples(engine, engine.mesh(), micro)) {
        parts.push_back(recorded.at(place_of_layer(engine, layer)).at(static_cast<size_t>(sample)));
      }
      layers.push_back(join_tokens(parts));
    }
    out.push_back(std::move(layers));
  }
  return out;
}

// What step `step` replays; null = it routes.
const std::vector<std::vector<SparseAssignment>>* recorded_at(const LawResult* result,
                                                              int64_t step) {
  if (result == nullptr) return nullptr;
  if (step == 0) return &result->assignments;
  const auto later = static_cast<size_t>(step - 1);
  return later < result->later_assignments.size() ? &result->later_assignments[later] : nullptr;
}

void record_step(const StepResult& step, LawResult& result) {
  result.losses.push_back(step.loss);
  result.balance_losses.push_back(step.balance_loss);
  result.z_losses.push_back(step.z_loss);
  result.norms.push_back(step.grad_norm);
  result.terms.push_back(step.terms);
  std::vector<int64_t> counts;
  for (const RouterStats& layer : step.layers) {
    const std::vector<int64_t> of_layer = layer.counts();
    counts.insert(counts.end(), of_layer.begin(), of_layer.end());
  }
  result.counts.push_back(std::move(counts));
}

}  // namespace

EngineConfig small_engine(DType compute, const std::string& router) {
  EngineConfig engine;
  ModelConfig& model = engine.model;
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
  moe.router_options = Options(router_named(router).fields);
  moe.shared_experts = 1;
  moe.shared_ffn_dim = 8;
  moe.min_capacity = 1;
  moe.router_precision = wide(compute);
  if (router_named(router).needs_capacity) moe.capacity_factor = moe.capacity_factor_eval = 2.0;
  model.moe = {std::nullopt, moe};
  engine.seed = 11;
  engine.optimizer_options = Options(optimizer_fields("adamw"));
  engine.schedule_options = Options(schedule_fields("constant"));
  engine.schedule_options.set("warmup", int64_t{0});  // the whole lr: differences show
  engine.lr = 1e-2;
  engine.clip = 0.5;  // small enough to act
  engine.steps = 5;
  engine.global_batch = 36;  // divides over 1, 2, 3 and 4 ranks with micro-batches of 3
  engine.micro_batch = 3;
  return engine;
}

std::function<TokenBatch(int64_t micro)> law_batches(TrainingEngine& engine, int64_t step) {
  return [&engine, step](int64_t micro) {
    const EngineConfig& config = engine.config();
    return drawn_batch(config.model, step, config.global_batch,
                       own_samples(engine, engine.mesh(), micro));
  };
}

LawResult run_law(const LayoutRun& law, std::shared_ptr<Communicator> world) {
  auto device = law.make_device ? law.make_device() : Device::cpu(law.threads);
  world->world().set_device(device);
  const Mesh mesh(
      law.layout ? *law.layout : Parallelism(MeshShape::data_expert(world->size(), law.ep)), world);
  TrainingEngine engine(law.engine, mesh, device);
  if (law.before_training) law.before_training(engine);
  LawResult result;
  for (int64_t step = 0; step < law.steps; ++step) {
    const bool first = step == 0;
    const bool recording =
        law.record == Recorded::all_steps || (first && law.record == Recorded::first_step);
    engine.keep_assignments(recording);
    Compared compared;
    if (first && recording) observe_selection(engine, compared);
    const auto* recorded = recorded_at(law.replay, step);
    std::vector<std::vector<SparseAssignment>> replay;
    if (recorded != nullptr) replay = replay_for(*recorded, engine);
    record_step(
        engine.step(step, law_batches(engine, step), {}, recorded != nullptr ? &replay : nullptr),
        result);
    if (first) {
      result.gradients = gather_whole(engine.gradients(), "gradients/", mesh.all(), device);
    }
    if (!recording) continue;
    auto assignments = gather_assignments(engine, device);
    if (!first) {
      result.later_assignments.push_back(std::move(assignments));
      continue;
    }
    result.assignments = std::move(assignments);
    result.selection = gather_selection(engine, compared);
    for (MoELayer* layer : engine.model().moe_layers()) layer->observe_routing({});
  }
  result.parameters = gather_whole(engine.state(), "parameters/", mesh.all(), device);
  return result;
}

LawResult run_law_on_threads(const LayoutRun& law, int ranks) {
  LawResult result;
  run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
    LawResult mine = run_law(law, std::move(world));
    if (rank == 0) result = std::move(mine);
  });
  return result;
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
    for (const NamedTensor& tensor : *tensors) mix(tensor.values);
  }
  return hash;
}

}  // namespace troupe::laws
