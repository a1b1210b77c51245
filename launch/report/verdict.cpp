#include "launch/report/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "launch/metrics/text.h"

namespace troupe::report_page {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double median(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Median over the rows without the first, which holds warm-up.
template <typename F>
double steady(const std::vector<StepMetrics>& rows, F field) {
  std::vector<double> values;
  for (size_t i = rows.size() > 1 ? 1 : 0; i < rows.size(); ++i) values.push_back(field(rows[i]));
  return median(values);
}

template <typename F>
double late_mean(const std::vector<StepMetrics>& rows, F field) {
  const size_t count = std::max<size_t>(1, rows.size() / 10);
  double sum = 0;
  for (size_t i = rows.size() - count; i < rows.size(); ++i) sum += field(rows[i]);
  return sum / static_cast<double>(count);
}

std::string times(double ratio) { return fmt::format("{:.2f} times", ratio); }

std::string percent(double fraction) {
  return fmt::format("{:.{}f} %", 100 * fraction, fraction > 0 && fraction < 0.0995 ? 1 : 0);
}

std::string learned(const RunData& run, const Summary& s) {
  const int64_t steps = run.all.back().step;
  if (!std::isfinite(s.last_loss)) {
    return fmt::format("It did not learn: the loss is not a number at step {}.",
                       grouped_text(steps));
  }
  const std::optional<double>& last_val = run.all.back().val_loss;
  if (last_val && !std::isfinite(*last_val)) {
    return fmt::format("It did not learn: the held-out loss is not a number at step {}.",
                       grouped_text(steps));
  }
  if (run.all.size() == 1) {
    return fmt::format(
        "Only step {} was logged, with a training loss of {} nats per token: "
        "whether it learns cannot be said yet.",
        grouped_text(steps), loss_text(s.last_loss));
  }
  std::string out;
  if (s.last_loss < s.first_loss - 0.01 * std::abs(s.first_loss)) {
    out = fmt::format(
        "It learned: training loss fell from {} to {} nats per token in {} "
        "steps",
        loss_text(s.first_loss), loss_text(s.last_loss), grouped_text(steps));
  } else {
    out = fmt::format(
        "It did not learn: training loss went from {} to {} nats per token "
        "in {} steps",
        loss_text(s.first_loss), loss_text(s.last_loss), grouped_text(steps));
  }
  if (!std::isfinite(s.best_val)) return out + "; it was never evaluated on held-out text.";
  out += fmt::format(", and held-out loss reached {}", loss_text(s.best_val));
  if (s.last_val > 1.01 * s.best_val) {
    return out + fmt::format(" at step {} but rose to {} since, a sign of overfitting.",
                             grouped_text(s.best_val_step), loss_text(s.last_val));
  }
  return out + ".";
}

std::string drops_and_deaths(const Summary& s) {
  std::string out = s.dropped > 0 ? percent(s.dropped) + " of the assignments were dropped"
                                  : std::string("nothing was dropped");
  out += s.dead_experts == 0   ? " and no expert is dead"
         : s.dead_experts == 1 ? " and 1 expert got no token at all"
                               : fmt::format(" and {} experts got no token at all", s.dead_experts);
  return out;
}

std::string balanced(const RunData& run, const Summary& s) {
  if (!run.is_moe()) return "It is a dense model: there were no experts to balance.";
  const char* judgement = s.dead_experts > 0 || s.imbalance > 2 ? "The experts are not balanced"
                          : s.imbalance > 1.4 ? "The experts are moderately balanced"
                                              : "The experts are well balanced";
  return fmt::format("{}: at the end the busiest one of the worst layer got {} the mean load, {}.",
                     judgement, times(s.imbalance), drops_and_deaths(s));
}

std::string time_went(const Summary& s) {
  std::vector<size_t> order(s.phase_ms.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return s.phase_ms[a] > s.phase_ms[b]; });
  const double all = std::accumulate(s.phase_ms.begin(), s.phase_ms.end(), 0.0);
  std::string out = fmt::format("A step took {} ({} tokens/s)", step_time_text(s.step_ms),
                                short_text(s.tokens_per_s));
  if (all > 0) {
    out += ", most of it in ";
    for (size_t i = 0; i < 3; ++i) {
      out += fmt::format("{}{} ({})",
                         i == 0   ? ""
                         : i == 1 ? ", "
                                  : " and ",
                         phase_names()[order[i]], percent(s.phase_ms[order[i]] / all));
    }
  }
  if (s.gemm_fraction > 0) {
    out += fmt::format("; the model's arithmetic ran at {} of the machine's measured matrix rate",
                       percent(s.gemm_fraction));
  }
  return out + ".";
}

// "a 1.58, b 1.61", best first.
template <typename F>
std::string ranking(const std::vector<const RunData*>& order, F value) {
  std::string out;
  for (size_t i = 0; i < order.size() && i < 6; ++i) {
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", order[i]->name, value(*order[i]));
  }
  return out + (order.size() > 6 ? ", ..." : "");
}

std::array<std::string, 3> comparison(const std::vector<RunData>& runs) {
  std::vector<const RunData*> order;
  bool evaluated = true;
  for (const RunData& run : runs) {
    if (run.all.empty()) continue;
    order.push_back(&run);
    evaluated = evaluated && std::isfinite(summarise(run).best_val);
  }
  const auto sort_by = [&](auto key) {
    std::stable_sort(order.begin(), order.end(),
                     [&](const RunData* a, const RunData* b) { return key(*a) < key(*b); });
  };
  const auto loss = [&](const RunData& run) {
    const Summary s = summarise(run);
    return evaluated ? s.best_val : s.last_loss;
  };
  const auto finite_first = [&](const RunData& run) {
    return std::isfinite(loss(run)) ? loss(run) : std::numeric_limits<double>::max();
  };
  std::array<std::string, 3> out;
  sort_by(finite_first);
  out[0] = fmt::format("{} learned most: {} loss in nats per token is {}.", order[0]->name,
                       evaluated ? "the best held-out" : "the last training",
                       ranking(order, [&](const RunData& r) { return loss_text(loss(r)); }));
  std::vector<const RunData*> everyone = order;
  std::erase_if(order, [](const RunData* run) { return !run->is_moe(); });
  if (order.empty()) {
    out[1] = "All are dense models: there were no experts to balance.";
  } else {
    const auto imbalance = [](const RunData& run) { return summarise(run).imbalance; };
    sort_by(imbalance);
    out[1] = fmt::format(
        "{} is balanced best: at the end the busiest expert over the mean is {}.", order[0]->name,
        ranking(order, [&](const RunData& r) { return fmt::format("{:.2f}", imbalance(r)); }));
  }
  order = everyone;
  const auto speed = [](const RunData& run) { return -summarise(run).tokens_per_s; };
  sort_by(speed);
  out[2] = fmt::format("{} is fastest: tokens per second are {}.", order[0]->name,
                       ranking(order, [&](const RunData& r) { return short_text(-speed(r)); }));
  return out;
}

}  // namespace

const std::array<const char*, 7>& phase_names() {
  static constexpr std::array<const char*, 7> kNames = {
      "forward", "backward", "dispatch", "communication", "optimizer", "data", "other"};
  return kNames;
}

std::string loss_text(double loss) {
  if (!std::isfinite(loss)) return "not a number";
  return std::abs(loss) < 1000 ? fmt::format("{:.3f}", loss) : short_text(loss);
}

std::string step_time_text(double ms) {
  if (ms < 10000) return fmt::format("{:.{}f} ms", ms, ms < 10 ? 2 : ms < 1000 ? 1 : 0);
  return fmt::format("{:.1f} s", ms / 1000);
}

std::array<double, 7> phases_of(const StepMetrics& row) {
  const PhaseMs& p = row.phase_ms;
  std::array<double, 7> out = {p.forward, p.backward, p.dispatch, p.comm, p.optimizer, p.data, 0};
  out[6] = std::max(0.0, row.step_ms - std::accumulate(out.begin(), out.end(), 0.0));
  return out;
}

Summary summarise(const RunData& run) {
  Summary s;
  const auto& rows = run.all;
  s.best_val = s.last_val = kNone;
  s.first_loss = rows.front().loss;
  s.last_loss = late_mean(rows, [](const StepMetrics& m) { return m.loss; });
  for (const StepMetrics& row : rows) {
    if (!row.val_loss) continue;
    s.last_val = *row.val_loss;
    if (std::isfinite(*row.val_loss) && !(s.best_val <= *row.val_loss)) {
      s.best_val = *row.val_loss;
      s.best_val_step = row.step;
    }
  }
  s.tokens_per_s = steady(rows, [](const StepMetrics& m) { return m.tokens_per_s; });
  s.step_ms = steady(rows, [](const StepMetrics& m) { return m.step_ms; });
  s.gemm_fraction = steady(rows, [](const StepMetrics& m) { return m.gemm_fraction; });
  s.imbalance = late_mean(rows, [](const StepMetrics& m) { return m.load_max_over_mean; });
  s.dropped = late_mean(rows, [](const StepMetrics& m) { return m.dropped_fraction; });
  s.dead_experts = rows.back().dead_experts;
  s.time_s = run.time_s.empty() ? 0 : run.time_s.back();
  for (const StepMetrics& row : rows) {
    s.mem_peak_bytes = std::max(s.mem_peak_bytes, row.mem_peak_bytes);
    const auto phases = phases_of(row);
    for (size_t i = 0; i < phases.size(); ++i) {
      if (std::isfinite(phases[i])) s.phase_ms[i] += phases[i] / static_cast<double>(rows.size());
    }
  }
  return s;
}

std::array<std::string, 3> verdict(const std::vector<RunData>& runs) {
  std::vector<const RunData*> filled;
  for (const RunData& run : runs) {
    if (!run.all.empty()) filled.push_back(&run);
  }
  if (filled.size() > 1) return comparison(runs);
  const Summary s = summarise(*filled.front());
  return {learned(*filled.front(), s), balanced(*filled.front(), s), time_went(s)};
}

}  // namespace troupe::report_page
