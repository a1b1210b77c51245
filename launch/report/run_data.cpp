#include "launch/report/run_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/text/byte_escape.h"
#include "core/text/utf8.h"
#include "launch/metrics/metrics_file.h"

namespace troupe::report_page {
namespace {

constexpr size_t kRowBudget = 1600;  // over all runs: about 600 kB of the page
constexpr size_t kRowsAtLeast = 80;

std::vector<double> training_time(const std::vector<StepMetrics>& rows) {
  std::vector<double> out;
  double seconds = 0;
  int64_t before = 0;
  for (const StepMetrics& row : rows) {
    const double spent = row.step_ms * static_cast<double>(row.step - before) / 1000;
    if (std::isfinite(spent)) seconds += spent;
    before = row.step;
    out.push_back(seconds);
  }
  return out;
}

// Mean over the rows around each one, as many before as after, so that it does not lag behind a
// falling loss. The window grows with the run and shrinks at its ends.
std::vector<double> running_mean(const std::vector<StepMetrics>& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t reach = count / 60;
  std::vector<double> out;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t half = std::min({reach, i, count - 1 - i});
    double sum = 0;
    int64_t finite = 0;
    for (int64_t k = i - half; k <= i + half; ++k) {
      const double loss = rows[static_cast<size_t>(k)].loss;
      if (!std::isfinite(loss)) continue;
      sum += loss;
      ++finite;
    }
    out.push_back(finite > 0 ? sum / static_cast<double>(finite)
                             : rows[static_cast<size_t>(i)].loss);
  }
  return out;
}

std::string name_of(const std::filesystem::path& dir) {
  const auto whole = std::filesystem::absolute(dir).lexically_normal();
  const auto last = whole.filename().empty() ? whole.parent_path().filename() : whole.filename();
  return escape_bytes(last.empty() ? dir.string() : last.string());
}

RunData load_run(const std::filesystem::path& dir, size_t budget) {
  RunData run;
  run.dir = escape_bytes(dir.string());
  run.all = read_metrics(dir);
  const auto time = training_time(run.all);
  const auto mean = running_mean(run.all);
  for (const size_t at : thinned(run.all, budget)) {
    run.rows.push_back(run.all[at]);
    run.time_s.push_back(time[at]);
    run.loss_mean.push_back(mean[at]);
  }
  run.loads = read_expert_loads(dir);
  run.config = utf8_replaced(read_bytes(dir / "config.resolved.yaml"));
  return run;
}

}  // namespace

bool RunData::is_moe() const {
  return !loads.steps.empty() || std::any_of(all.begin(), all.end(), [](const StepMetrics& row) {
    return row.load_max_over_mean > 0;
  });
}

std::vector<size_t> thinned(const std::vector<StepMetrics>& rows, size_t budget) {
  std::vector<size_t> all(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) all[i] = i;
  if (rows.size() <= budget) return all;
  std::set<size_t> kept = {0, rows.size() - 1};
  std::vector<size_t> evaluated;
  for (const size_t i : all) {
    if (rows[i].val_loss) evaluated.push_back(i);
  }
  const size_t stride = evaluated.size() / (budget / 3 + 1) + 1;
  for (size_t i = 0; i < evaluated.size(); i += stride) kept.insert(evaluated[i]);
  if (!evaluated.empty()) kept.insert(evaluated.back());
  const size_t stretches = std::max<size_t>(1, (budget - std::min(budget, kept.size())) / 3);
  for (size_t s = 0; s < stretches; ++s) {
    const auto begin = all.begin() + static_cast<int64_t>(s * rows.size() / stretches);
    const auto end = all.begin() + static_cast<int64_t>((s + 1) * rows.size() / stretches);
    if (begin == end) continue;
    const auto by_loss = [&](size_t a, size_t b) { return rows[a].loss < rows[b].loss; };
    const auto by_norm = [&](size_t a, size_t b) { return rows[a].grad_norm < rows[b].grad_norm; };
    kept.insert(*std::min_element(begin, end, by_loss));
    kept.insert(*std::max_element(begin, end, by_loss));
    kept.insert(*std::max_element(begin, end, by_norm));
  }
  return {kept.begin(), kept.end()};
}

std::vector<RunData> load_runs(const std::vector<std::filesystem::path>& run_dirs) {
  const size_t budget = std::max(kRowsAtLeast, kRowBudget / std::max<size_t>(1, run_dirs.size()));
  std::vector<RunData> runs;
  std::set<std::string> names;
  for (const auto& dir : run_dirs) {
    runs.push_back(load_run(dir, budget));
    std::string name = name_of(dir);
    for (int n = 2; !names.insert(name).second; ++n) {
      name = fmt::format("{} ({})", name_of(dir), n);
    }
    runs.back().name = name;
  }
  return runs;
}

}  // namespace troupe::report_page
