// troupe bench step CONFIG --routing all
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/text/json_text.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"

namespace troupe {

void print_routings(const std::vector<RoutingBench>& rows, bool json) {
  if (json) {
    nlohmann::ordered_json out;
    for (const RoutingBench& row : rows) {
      out[row.routing] = {{"step_ms", row.step_ms},
                          {"step_ms_min", row.step_ms_min},
                          {"step_ms_max", row.step_ms_max},
                          {"tokens_per_s", row.tokens_per_s},
                          {"of_balanced", row.of_balanced},
                          {"expert_load_max_over_mean", row.expert_load_max_over_mean},
                          {"rank_load_max_over_mean", row.rank_load_max_over_mean}};
    }
    output::print("{}\n", json_text(out));
    return;
  }
  output::print(
      "routing     step ms (fastest to slowest)   tokens/s   of balanced   busiest expert   "
      "busiest rank\n");
  for (const RoutingBench& row : rows) {
    output::print("{:<9} {:>9.1f} {:>20} {:>10.0f} {:>12.3f}x {:>15.2f}x {:>13.2f}x\n", row.routing,
                  row.step_ms, fmt::format("({:.1f} to {:.1f})", row.step_ms_min, row.step_ms_max),
                  row.tokens_per_s, row.of_balanced, row.expert_load_max_over_mean,
                  row.rank_load_max_over_mean);
  }
}

}  // namespace troupe
