#include "launch/bench/made_up_routing.h"

#include <algorithm>

#include "moe/routers/table.h"

namespace troupe {

std::vector<std::vector<SparseAssignment>> made_up_routing(const RunConfig& config,
                                                           const std::string& routing,
                                                           TrainingEngine& engine) {
  std::vector<std::vector<SparseAssignment>> out;
  if (routing == "natural") return out;
  const auto kind = routing == "zipf" ? SyntheticRouting::zipf : SyntheticRouting::balanced;
  const int64_t tokens = config.train.micro_batch * config.model.seq_len;
  const int data_rank = engine.mesh().coordinate(Axis::dp);
  for (int64_t micro = 0; micro < engine.micro_batches(); ++micro) {
    out.emplace_back();
    for (const int64_t layer : engine.model().moe_layer_numbers()) {
      const auto& moe = config.model.moe[static_cast<size_t>(layer)];
      const int64_t choices =
          std::max<int64_t>(router_named(moe->router).choices(moe->router_options), 1);
      out.back().push_back(synthetic_assignment(kind, tokens, moe->experts, choices,
                                                static_cast<uint64_t>(micro * 1000 + data_rank)));
    }
  }
  return out;
}

}  // namespace troupe
