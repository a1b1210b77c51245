// troupe bench step CONFIG --profile [--out FILE]
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"

namespace troupe {
namespace {

constexpr size_t kShown = 10;

}  // namespace

nlohmann::ordered_json profile_json(const StepProfile& profile, const std::string& trace) {
  nlohmann::ordered_json operators = nlohmann::ordered_json::array();
  for (const OperatorCost& cost : profile.operators) {
    operators.push_back(
        {{"name", cost.name}, {"calls", cost.calls}, {"ms", cost.ms}, {"threads_busy", cost.busy}});
  }
  return {{"trace", trace},
          {"steps", profile.steps},
          {"step_ms", profile.step_ms},
          {"operators", operators}};
}

void print_profile(const StepProfile& profile, int ranks, const std::string& trace) {
  const auto row = [&](const std::string& name, double ms) {
    output::print("{:<40} {:>10} {:>10.2f} {:>8.1f} %", name, "", ms, 100 * ms / profile.step_ms);
  };
  output::print("\n{:<40} {:>10} {:>10} {:>10} {:>14}\n",
                ranks > 1 ? "operator (rank 0)" : "operator", "calls", "ms a step", "of it",
                "threads busy");
  double outside = profile.step_ms;
  double others = 0;
  for (size_t i = 0; i < profile.operators.size(); ++i) {
    const OperatorCost& cost = profile.operators[i];
    outside -= cost.ms;
    if (i >= kShown) {
      others += cost.ms;
      continue;
    }
    output::print("{:<40} {:>10.1f} {:>10.2f} {:>8.1f} % {:>12.0f} %\n", cost.name, cost.calls,
                  cost.ms, 100 * cost.ms / profile.step_ms, 100 * cost.busy);
  }
  if (profile.operators.size() > kShown) {
    row(fmt::format("{} others", profile.operators.size() - kShown), others);
    output::print("\n");
  }
  row("outside of operators", outside);
  output::print("\n");
  output::print("{:<40} {:>10} {:>10.2f}   mean of {}, traced\n", "step", "", profile.step_ms,
                profile.steps);
  output::print("trace             {}: open it in https://ui.perfetto.dev or chrome://tracing\n",
                trace);
}

}  // namespace troupe
