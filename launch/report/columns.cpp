#include "launch/report/columns.h"

#include <limits>

#include "core/base/error.h"

namespace troupe::report_page {
namespace {

template <typename T>
Column of(const char* field, T StepMetrics::*member) {
  return {field, std::is_integral_v<T>, [member](const RunData& run, size_t i) {
            return static_cast<double>(run.rows[i].*member);
          }};
}

Column of(const char* field, double PhaseMs::*member) {
  return {field, false,
          [member](const RunData& run, size_t i) { return run.rows[i].phase_ms.*member; }};
}

}  // namespace

const std::vector<Column>& columns() {
  static const std::vector<Column> kColumns = {
      of("step", &StepMetrics::step),
      of("tokens", &StepMetrics::tokens),
      of("loss", &StepMetrics::loss),
      {"val_loss", false,
       [](const RunData& run, size_t i) {
         return run.rows[i].val_loss.value_or(std::numeric_limits<double>::quiet_NaN());
       }},
      of("lr", &StepMetrics::lr),
      of("grad_norm", &StepMetrics::grad_norm),
      of("tokens_per_s", &StepMetrics::tokens_per_s),
      of("step_ms", &StepMetrics::step_ms),
      {"gemm_fraction", false,
       [](const RunData& run, size_t i) {
         const double fraction = run.rows[i].gemm_fraction;
         return fraction == 0 ? std::numeric_limits<double>::quiet_NaN() : fraction;
       }},
      of("balance_loss", &StepMetrics::balance_loss),
      of("z_loss", &StepMetrics::z_loss),
      of("load_max_over_mean", &StepMetrics::load_max_over_mean),
      of("rank_load_max_over_mean", &StepMetrics::rank_load_max_over_mean),
      of("dropped_fraction", &StepMetrics::dropped_fraction),
      of("dead_experts", &StepMetrics::dead_experts),
      of("router_entropy", &StepMetrics::router_entropy),
      of("mem_peak_bytes", &StepMetrics::mem_peak_bytes),
      of("phase_ms.forward", &PhaseMs::forward),
      of("phase_ms.backward", &PhaseMs::backward),
      of("phase_ms.dispatch", &PhaseMs::dispatch),
      of("phase_ms.comm", &PhaseMs::comm),
      of("phase_ms.optimizer", &PhaseMs::optimizer),
      of("phase_ms.data", &PhaseMs::data),
      {"time_s", false, [](const RunData& run, size_t i) { return run.time_s[i]; }},
      {"loss_mean", false, [](const RunData& run, size_t i) { return run.loss_mean[i]; }},
  };
  return kColumns;
}

std::vector<double> values_of(const RunData& run, const std::string& field) {
  for (const Column& column : columns()) {
    if (column.field != field) continue;
    std::vector<double> out(run.rows.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = column.value(run, i);
    return out;
  }
  fail(ExitCode::internal, "report has no column '{}'", field);
}

}  // namespace troupe::report_page
