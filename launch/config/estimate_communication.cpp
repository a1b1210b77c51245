#include <algorithm>

#include "launch/config/estimate.h"
#include "launch/config/parameter_plan.h"
#include "launch/config/routed_rows.h"
#include "parallel/comm/traffic_model.h"
#include "parallel/dp/bucket_plan.h"

namespace troupe {
namespace {

// Bytes of the moe layers' exchanges of one micro-batch of one rank, with even routing: of the rows
// that a rank sends, the share (ep - 1) / ep goes to others. Forward: row counts, rows, gate
// weights, results; backward: the gradients of the last three. Recomputation repeats forward.
struct ExpertTraffic {
  int64_t counts = 0;
  int64_t rows = 0;
  int64_t weights = 0;
};

ExpertTraffic expert_traffic(const RunConfig& config) {
  const DecoderConfig& model = config.model;
  const int64_t ep = config.parallel.ep;
  const auto compute = static_cast<int64_t>(size_of(model.compute));
  const auto real = static_cast<int64_t>(size_of(wide(model.compute)));
  const int64_t forwards = model.recompute ? 2 : 1;
  const int64_t micro_batches =
      config.train.global_batch / (config.parallel.dp * config.train.micro_batch);
  ExpertTraffic traffic;
  if (ep == 1) return traffic;
  for (const auto& moe : model.moe) {
    if (!moe) continue;
    const int64_t leaving =
        routed_rows(*moe, config.train.micro_batch, model.seq_len) * (ep - 1) / ep;
    traffic.counts += forwards * (ep - 1) * (moe->experts / ep) * 8;
    traffic.rows += (2 * forwards + 2) * leaving * model.dim * compute;
    traffic.weights += (forwards + 1) * leaving * real;
  }
  traffic.counts *= micro_batches;
  traffic.rows *= micro_batches;
  traffic.weights *= micro_batches;
  return traffic;
}

int64_t gradient_bytes(const RunConfig& config, const MeshShape& mesh) {
  std::vector<GradientItem> items;
  for (const PlannedParameter& parameter : planned_parameters(config.model)) {
    items.push_back({parameter.layout, local_elements(parameter, mesh), wide(parameter.compute)});
  }
  int64_t most = 0;
  for (int rank = 0; rank < mesh.world(); ++rank) {
    most = std::max(most, gradient_sync_bytes(items, mesh, rank));
  }
  return most;
}

// Counters of the routers, loss and norm: three sums over the data ranks and one over all.
int64_t statistics_bytes(const RunConfig& config, const MeshShape& mesh) {
  int64_t integers = 0;
  int64_t reals = 0;
  for (const auto& moe : config.model.moe) {
    if (!moe) continue;
    integers += 3 * moe->experts + 2;
    reals += 2 * moe->experts + 1;
  }
  const int dp = mesh[Axis::dp];
  int64_t most = 0;
  for (int rank = 0; rank < dp; ++rank) {
    most = std::max(most, all_reduce_bytes_sent(integers, 8, rank, dp) +
                              all_reduce_bytes_sent(reals, 8, rank, dp));
  }
  return most + all_reduce_bytes_sent(4, 8, 0, dp) + all_reduce_bytes_sent(1, 8, 0, mesh.world());
}

}  // namespace

CommunicationEstimate estimate_communication(const RunConfig& config) {
  const MeshShape mesh = MeshShape::data_expert(config.parallel.dp, config.parallel.ep);
  CommunicationEstimate estimate;
  const auto add = [&](const char* name, int64_t bytes) {
    if (bytes == 0) return;
    estimate.parts.push_back({name, bytes});
    estimate.bytes_per_step += bytes;
  };
  add("gradients", gradient_bytes(config, mesh));
  const ExpertTraffic experts = expert_traffic(config);
  add("rows to and from experts", experts.rows);
  add("gate weights", experts.weights);
  add("row counts", experts.counts);
  add("statistics", statistics_bytes(config, mesh));
  return estimate;
}

}  // namespace troupe
