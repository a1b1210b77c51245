#include "tests/moe/layer/fixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "core/autograd/tape.h"
#include "moe/routers/table.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/support.h"

namespace troupe::testing {
namespace {

// The sequences of each micro-batch of a rank: blocks dealt out in turn, zero sequences where a
// rank has none left, the same number of micro-batches everywhere.
std::vector<std::pair<int64_t, int64_t>> parts_of(const LayerCase& given, int rank, int ranks) {
  std::vector<int> fed;
  for (int r = 0; r < ranks; ++r) {
    if (r != given.starved) fed.push_back(r);
  }
  std::vector<std::vector<std::pair<int64_t, int64_t>>> parts(static_cast<size_t>(ranks));
  size_t turn = 0;
  for (int64_t first = 0; first < given.batch.sequences; first += given.micro_batch) {
    const int64_t count = std::min(given.micro_batch, given.batch.sequences - first);
    parts[static_cast<size_t>(fed[turn++ % fed.size()])].emplace_back(first, count);
  }
  auto mine = parts[static_cast<size_t>(rank)];
  size_t most = 0;
  for (const auto& list : parts) most = std::max(most, list.size());
  mine.resize(most, {0, 0});
  return mine;
}

struct HeldGradient {
  LocalSlice slice;
  std::vector<double> values;
};

struct Gathered {
  std::mutex mutex;
  LayerRun run;
  // By rank: the gradients that it gives to the sum.
  std::vector<std::map<std::string, HeldGradient>> gradients;
  std::map<std::string, Shape> shapes;
};

// The given tokens of x, [tokens, columns].
Tensor take_rows(const Tensor& x, int64_t begin, const std::vector<int32_t>& tokens,
                 const std::shared_ptr<Device>& device) {
  const auto columns = static_cast<size_t>(x.dim(1));
  const std::vector<double> all = x.values();
  std::vector<double> out;
  for (const int32_t t : tokens) {
    const auto from = all.begin() + static_cast<int64_t>(static_cast<size_t>(begin + t) * columns);
    out.insert(out.end(), from, from + static_cast<int64_t>(columns));
  }
  return Tensor::from(out, Shape{static_cast<int64_t>(tokens.size()), x.dim(1)}, x.dtype(), device);
}

void put_rows(const std::vector<double>& rows, int64_t begin, const std::vector<int32_t>& tokens,
              size_t columns, std::vector<double>& into) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::copy_n(
        rows.begin() + static_cast<int64_t>(i * columns), columns,
        into.begin() + static_cast<int64_t>(static_cast<size_t>(begin + tokens[i]) * columns));
  }
}

void initialize(MoELayer& layer, const LayerCase& given) {
  layer.parameters([&](Parameter& p) {
    p.initialize(123);
    if (given.permutation.empty()) return;
    // Only for one rank: rows of dim 0 (experts) are moved.
    const std::vector<double> before = p.value().values();
    const auto row = before.size() / given.permutation.size();
    for (size_t e = 0; e < given.permutation.size(); ++e) {
      for (size_t i = 0; i < row; ++i) {
        p.value().data<double>()[e * row + i] =
            before[static_cast<size_t>(given.permutation[e]) * row + i];
      }
    }
    p.value_changed();
  });
}

// Runs forward; what it returns runs backward and notes the results.
std::function<void()> run_part(MoELayer& layer, const LayerCase& given,
                               std::pair<int64_t, int64_t> part, int64_t step, const Mesh& mesh,
                               const std::shared_ptr<Device>& device, RouterStats& stats,
                               Gathered& out) {
  const auto [first, count] = part;
  const int64_t seq_len = given.batch.seq_len;
  const int64_t begin = first * seq_len;
  const TokenSharding sharding(mesh.parallelism(), mesh.coordinates(), count, seq_len);
  const std::vector<int32_t>& rows = sharding.stream_rows();
  const auto columns = static_cast<size_t>(given.inputs.dim);
  TokenContext context = part_of(given.batch, first, count);
  context.step += step;
  SparseAssignment saved;
  if (!given.replay.empty() && count > 0) {
    saved = join_tokens(
        std::span(given.replay).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
  } else if (!given.replay.empty()) {
    saved = empty_assignment(given.inputs.config.experts);
  }
  auto dx = std::make_shared<std::vector<double>>();
  const Tensor x =
      leaf(take_rows(given.x, begin, rows, device), [dx](Tensor g) { *dx = g.values(); });
  const MoEOutput result =
      layer.forward(x, context, given.replay.empty() ? nullptr : &saved, &sharding);
  stats.add(result.stats);
  return [&given, &mesh, &out, device, first, count, begin, rows, columns, dx, result] {
    std::vector<Tensor> roots{result.y_TD};
    std::vector<Tensor> seeds{take_rows(given.seed, begin, rows, device)};
    for (const LossTerm& loss : result.losses) {
      roots.push_back(loss.value);
      seeds.emplace_back();
    }
    backward(roots, seeds);
    const std::lock_guard lock(out.mutex);
    put_rows(result.y_TD.values(), begin, rows, columns, out.run.y);
    put_rows(*dx, begin, rows, columns, out.run.dx);
    out.run.rows += result.stats.rows;
    // What follows is the same on all ranks of a data rank.
    if (mesh.coordinate(Axis::cp) != 0 || mesh.coordinate(Axis::tp) != 0) return;
    out.run.losses.resize(result.losses.size());
    for (size_t i = 0; i < result.losses.size(); ++i)
      out.run.losses[i] += result.losses[i].value.item();
    for (int64_t b = 0; b < count; ++b) {
      out.run.assignments[static_cast<size_t>(first + b)] =
          slice_tokens(result.assignment, b * given.batch.seq_len, (b + 1) * given.batch.seq_len);
    }
  };
}

// Does this rank's gradient take part in the sum over all ranks? Not where another holds the same.
bool gives_gradient(const Parameter& p, const Mesh& mesh) {
  const bool experts = p.layout().mesh == MeshKind::experts;
  for (const Axis axis : {experts ? Axis::edp : Axis::dp, experts ? Axis::ep : Axis::cp,
                          experts ? Axis::etp : Axis::tp}) {
    const bool partial = p.layout().gradient_partial[static_cast<size_t>(axis)];
    const bool cut = p.layout().state(axis) == AxisState::shard;
    if (!partial && !cut && mesh.coordinate(axis) != 0) return false;
  }
  return true;
}

void run_rank(const LayerCase& given, const Parallelism& parallelism,
              std::shared_ptr<Communicator> world, Gathered& out) {
  const int rank = world->rank();
  const Mesh mesh(parallelism, std::move(world));
  const std::shared_ptr<Device> device = Device::cpu(1);
  MoELayer layer(given.inputs, mesh, device);
  initialize(layer, given);
  RouterStats stats;
  for (int64_t step = 0; step < given.steps; ++step) {
    layer.parameters([](Parameter& p) { p.zero_gradient(); });
    stats = no_stats(given.inputs.config);
    {
      const std::lock_guard lock(out.mutex);
      std::fill(out.run.losses.begin(), out.run.losses.end(), 0.0);
      out.run.rows = 0;
    }
    mesh.all().barrier("test").finish();
    std::vector<std::function<void()>> backwards;
    for (const auto& part : parts_of(given, mesh.coordinate(Axis::dp), mesh.size(Axis::dp))) {
      backwards.push_back(run_part(layer, given, part, step, mesh, device, stats, out));
      if (!given.forwards_first) backwards.back()();
    }
    if (given.forwards_first) {
      RouterStats whole = stats;
      add_over_ranks(std::span(&whole, 1), mesh.group(Axis::dp));
      layer.before_backward(whole);
      for (const auto& run : backwards) run();
    }
    layer.parameters([](Parameter& p) { p.finish_gradient(); });
    add_over_ranks(std::span(&stats, 1), mesh.group(Axis::dp));
    layer.after_step(stats);
    mesh.all().barrier("test").finish();
  }
  State state;
  layer.state(state);
  const std::lock_guard lock(out.mutex);
  out.run.stats = stats;
  for (const StateTensor& entry : state.tensors) {
    const bool real = is_floating(entry.tensor.dtype());
    std::vector<double> values;
    if (real) {
      values = entry.tensor.values();
    } else {
      for (const int64_t v : entry.tensor.integers()) values.push_back(static_cast<double>(v));
    }
    out.run.state[entry.name] = values;
  }
  layer.parameters([&](Parameter& p) {
    out.shapes[p.name()] = p.layout().global;
    if (!gives_gradient(p, mesh)) return;
    out.gradients[static_cast<size_t>(rank)][p.name()] = {p.slice(), p.gradient().values()};
  });
}

// Adds the elements that a rank holds to the whole tensor.
void add_part(const HeldGradient& held, const Shape& global, std::vector<double>& whole) {
  whole.resize(static_cast<size_t>(global.elements()), 0.0);
  const int rank = global.rank();
  for (const LocalPart& part : held.slice.parts) {
    for (int64_t i = 0; i < part.global.size.elements(); ++i) {
      int64_t rest = i;
      int64_t from = 0;
      int64_t to = 0;
      int64_t from_stride = 1;
      int64_t to_stride = 1;
      for (int d = rank - 1; d >= 0; --d) {
        const int64_t at = rest % part.global.size[d];
        rest /= part.global.size[d];
        from += (part.local_offset[d] + at) * from_stride;
        to += (part.global.offset[d] + at) * to_stride;
        from_stride *= held.slice.shape[d];
        to_stride *= global[d];
      }
      whole[static_cast<size_t>(to)] += held.values[static_cast<size_t>(from)];
    }
  }
}

double squares(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double v : values) sum += v * v;
  return sum;
}

double worst_of(const std::vector<double>& a, const std::vector<double>& b, double floor) {
  if (a.size() != b.size()) return 1e300;
  double largest = floor;
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    const double d = std::abs(a[i] - b[i]);
    worst = std::isnan(d) ? 1e300 : std::max(worst, d);
  }
  return worst / largest;
}

}  // namespace

LayerCase layer_case(const std::string& router, int64_t sequences, int64_t seq_len) {
  LayerCase out;
  MoEConfig& config = out.inputs.config;
  config.experts = 12;
  config.ffn_dim = 6;
  config.router = router;
  config.router_options = Options(find_router(router)->fields);
  config.router_precision = DType::f64;
  config.min_capacity = 1;
  out.inputs.dim = 8;
  out.inputs.name = "layers.0.moe";
  out.inputs.compute = DType::f64;
  out.inputs.init_std = 0.7;
  out.inputs.down_init_std = 0.7;
  out.inputs.seed = 4;
  out.inputs.vocab = 32;
  if (router == "expert_choice") set_capacity(out, 2.0);
  out.batch = whole_batch(sequences, seq_len);
  out.batch.micro_batch = out.micro_batch;
  out.x = random_tensor({sequences * seq_len, 8}, 11);
  out.seed = random_tensor({sequences * seq_len, 8}, 12);
  return out;
}

void set_option(LayerCase& given, const std::string& name, FieldValue value) {
  given.inputs.config.router_options.set(name, std::move(value));
}

void set_capacity(LayerCase& given, double factor) {
  given.inputs.config.capacity_factor = factor;
  given.inputs.config.capacity_factor_eval = factor;
}

LayerRun run_layer(const LayerCase& given, int ranks, int ep) {
  return run_layer(given, MeshShape::data_expert(ranks, ep));
}

LayerRun run_layer(const LayerCase& given, const Parallelism& parallelism) {
  Gathered out;
  const auto tokens = static_cast<size_t>(given.batch.tokens());
  const int ranks = parallelism.shape.world();
  out.run.y.assign(tokens * static_cast<size_t>(given.inputs.dim), 0.0);
  out.run.dx = out.run.y;
  out.run.assignments.resize(static_cast<size_t>(given.batch.sequences));
  out.gradients.resize(static_cast<size_t>(ranks));
  CommOptions options;
  options.timeout = std::chrono::seconds(20);
  run_ranks(
      ranks,
      [&](int, std::shared_ptr<Communicator> world) {
        run_rank(given, parallelism, std::move(world), out);
      },
      options);
  for (const auto& held : out.gradients) {
    for (const auto& [name, part] : held) add_part(part, out.shapes[name], out.run.gradients[name]);
  }
  return out.run;
}

double difference(const LayerRun& a, const LayerRun& b) {
  double sum = 0.0;
  size_t count = 0;
  for (const auto& [name, gradient] : a.gradients) {
    sum += squares(gradient);
    count += gradient.size();
  }
  const double floor = 1e-3 * std::sqrt(sum / static_cast<double>(count));
  double worst = std::max(worst_of(a.y, b.y, 1e-30), worst_of(a.dx, b.dx, floor));
  for (const auto& [name, gradient] : a.gradients) {
    const auto other = b.gradients.find(name);
    if (other == b.gradients.end()) return 1e300;
    worst = std::max(worst, worst_of(gradient, other->second, floor));
  }
  worst = std::max(worst, worst_of(a.losses, b.losses, 1e-30));
  if (a.state.size() != b.state.size()) return 1e300;
  for (const auto& [name, values] : a.state)
    worst = std::max(worst, worst_of(values, b.state.at(name), 1e-30));
  return worst;
}

}  // namespace troupe::testing
