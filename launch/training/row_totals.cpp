#include "launch/training/row_totals.h"

#include <algorithm>

namespace troupe {
namespace {

PhaseMs mean_phases(const PhaseClock& clock, int64_t steps) {
  const auto spent = clock.milliseconds();
  auto mean = [&](Phase phase) {
    return spent[static_cast<size_t>(phase)] / static_cast<double>(std::max<int64_t>(steps, 1));
  };
  return {mean(Phase::forward), mean(Phase::backward),  mean(Phase::dispatch),
          mean(Phase::comm),    mean(Phase::optimizer), mean(Phase::data)};
}

// Every rank's values, rank after rank.
std::vector<int64_t> gather(Communicator& world, const std::vector<int64_t>& own,
                            const std::shared_ptr<Device>& device) {
  const auto count = static_cast<int64_t>(own.size());
  const Tensor in = Tensor::from(std::span<const int64_t>(own), {count}, device);
  const Tensor out =
      Tensor::empty({count * world.size()}, DType::i64, device, MemoryKind::communication);
  world.all_gather(in.view(), out.view(), "metrics").finish();
  return out.integers();
}

void fill_routing(const StepResult& result, StepMetrics& row) {
  int64_t pairs = 0;
  int64_t dropped = 0;
  double entropy = 0.0;
  for (const RouterStats& layer : result.layers) {
    row.load_max_over_mean = std::max(row.load_max_over_mean, layer.load_max_over_mean());
    row.dead_experts += layer.dead_experts();
    dropped += layer.dropped();
    for (int64_t count : layer.selected) pairs += count;
    entropy += layer.entropy();
  }
  if (!result.layers.empty()) entropy /= static_cast<double>(result.layers.size());
  row.router_entropy = entropy;
  row.dropped_fraction =
      pairs > 0 ? static_cast<double>(dropped) / static_cast<double>(pairs) : 0.0;
}

}  // namespace

StepMetrics RowTotals::take(int64_t step, const StepResult& result, TrainingEngine& engine,
                            Device& device) {
  StepMetrics row;
  row.step = step;
  row.tokens = step * tokens_per_step_;
  row.loss = result.loss;
  row.lr = result.lr;
  row.grad_norm = result.grad_norm;
  row.balance_loss = result.balance_loss;
  row.z_loss = result.z_loss;
  const double seconds = std::chrono::duration<double>(spent_).count();
  if (seconds > 0) {
    const double steps_per_s = static_cast<double>(steps_) / seconds;
    row.tokens_per_s = static_cast<double>(tokens_per_step_) * steps_per_s;
    row.step_ms = 1e3 / steps_per_s;
    if (gemm_rate_ > 0) row.gemm_fraction = flops_per_step_ * steps_per_s / gemm_rate_;
  }
  row.phase_ms = mean_phases(engine.clock(), steps_);
  fill_routing(result, row);

  // What differs between ranks: peak memory and the rows that each rank's experts computed.
  Communicator& world = engine.mesh().all();
  std::vector<int64_t> own{device.memory().total.peak};
  own.insert(own.end(), result.own_rows.begin(), result.own_rows.end());
  const std::vector<int64_t> all = gather(world, own, device.shared_from_this());
  const size_t width = own.size();
  const size_t ranks = all.size() / width;
  for (size_t column = 0; column < width; ++column) {
    int64_t largest = 0;
    int64_t sum = 0;
    for (size_t rank = 0; rank < ranks; ++rank) {
      largest = std::max(largest, all[rank * width + column]);
      sum += all[rank * width + column];
    }
    if (column == 0) {
      row.mem_peak_bytes = largest;
    } else if (sum > 0) {
      // A layer is on the ranks of one pipeline stage.
      const size_t sharing = ranks / static_cast<size_t>(engine.mesh().size(Axis::pp));
      const double ratio =
          static_cast<double>(largest) * static_cast<double>(sharing) / static_cast<double>(sum);
      row.rank_load_max_over_mean = std::max(row.rank_load_max_over_mean, ratio);
    }
  }
  engine.clock().reset();
  spent_ = {};
  steps_ = 0;
  return row;
}

}  // namespace troupe
