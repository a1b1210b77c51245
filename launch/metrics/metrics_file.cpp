#include "launch/metrics/metrics_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFileName = "metrics.jsonl";

double real(const Json& row, const char* key) {
  const auto it = row.find(key);
  if (it == row.end()) return 0;
  if (it->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return it->is_number() ? it->get<double>() : 0;
}

int64_t integer(const Json& row, const char* key) {
  const auto it = row.find(key);
  return it != row.end() && it->is_number_integer() ? it->get<int64_t>() : 0;
}

// Calls f(line) for each whole line, without its end; what follows the last line end is torn.
template <typename F>
void for_each_line(const std::string& content, F f) {
  size_t begin = 0;
  for (size_t end = content.find('\n'); end != std::string::npos; end = content.find('\n', begin)) {
    f(content.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace

std::string to_json_line(const StepMetrics& m) {
  Json row;
  row["step"] = m.step;
  row["tokens"] = m.tokens;
  row["loss"] = m.loss;
  if (m.val_loss) row["val_loss"] = *m.val_loss;
  row["lr"] = m.lr;
  row["grad_norm"] = m.grad_norm;
  row["tokens_per_s"] = m.tokens_per_s;
  row["step_ms"] = m.step_ms;
  row["gemm_fraction"] = m.gemm_fraction;
  row["balance_loss"] = m.balance_loss;
  row["z_loss"] = m.z_loss;
  row["load_max_over_mean"] = m.load_max_over_mean;
  row["rank_load_max_over_mean"] = m.rank_load_max_over_mean;
  row["dropped_fraction"] = m.dropped_fraction;
  row["dead_experts"] = m.dead_experts;
  row["router_entropy"] = m.router_entropy;
  row["mem_peak_bytes"] = m.mem_peak_bytes;
  row["phase_ms"] = {{"forward", m.phase_ms.forward},     {"backward", m.phase_ms.backward},
                     {"dispatch", m.phase_ms.dispatch},   {"comm", m.phase_ms.comm},
                     {"optimizer", m.phase_ms.optimizer}, {"data", m.phase_ms.data}};
  return row.dump();
}

bool parse_json_line(const std::string& line, StepMetrics& m) {
  const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object() || integer(row, "step") < 1) return false;
  m = StepMetrics{};
  m.step = integer(row, "step");
  m.tokens = integer(row, "tokens");
  m.loss = real(row, "loss");
  if (row.contains("val_loss")) m.val_loss = real(row, "val_loss");
  m.lr = real(row, "lr");
  m.grad_norm = real(row, "grad_norm");
  m.tokens_per_s = real(row, "tokens_per_s");
  m.step_ms = real(row, "step_ms");
  m.gemm_fraction = real(row, "gemm_fraction");
  m.balance_loss = real(row, "balance_loss");
  m.z_loss = real(row, "z_loss");
  m.load_max_over_mean = real(row, "load_max_over_mean");
  m.rank_load_max_over_mean = real(row, "rank_load_max_over_mean");
  m.dropped_fraction = real(row, "dropped_fraction");
  m.dead_experts = integer(row, "dead_experts");
  m.router_entropy = real(row, "router_entropy");
  m.mem_peak_bytes = integer(row, "mem_peak_bytes");
  const auto phases = row.find("phase_ms");
  if (phases != row.end() && phases->is_object()) {
    m.phase_ms = {real(*phases, "forward"), real(*phases, "backward"),  real(*phases, "dispatch"),
                  real(*phases, "comm"),    real(*phases, "optimizer"), real(*phases, "data")};
  }
  return true;
}

std::vector<StepMetrics> read_metrics(const std::filesystem::path& run_dir) {
  std::map<int64_t, StepMetrics> rows;
  for_each_line(read_bytes(run_dir / kFileName), [&](const std::string& line) {
    StepMetrics row;
    if (parse_json_line(line, row)) rows[row.step] = row;
  });
  std::vector<StepMetrics> out;
  out.reserve(rows.size());
  for (const auto& [step, row] : rows) out.push_back(row);
  return out;
}

bool lacks_val_loss(const std::filesystem::path& run_dir, int64_t step) {
  const std::vector<StepMetrics> rows = read_metrics(run_dir);
  return std::any_of(rows.begin(), rows.end(),
                     [&](const StepMetrics& row) { return row.step == step && !row.val_loss; });
}

MetricsFile::MetricsFile(const std::filesystem::path& run_dir, int64_t resume_step) {
  const auto path = run_dir / kFileName;
  const std::string content = read_bytes(path);
  std::map<int64_t, std::string> kept;  // last one of a step wins
  for_each_line(content, [&](const std::string& line) {
    StepMetrics row;
    if (!parse_json_line(line, row) || row.step > resume_step) return;
    kept[row.step] = line;
    if (!newest_ || row.step >= newest_->step) newest_ = row;
  });
  std::string keep;
  for (const auto& [step, line] : kept) keep += line + '\n';
  keep_only(path, content, keep);
  file_ = std::make_unique<LogFile>(path, "metrics rows");
}

void MetricsFile::append(const StepMetrics& metrics) {
  const int64_t before = newest_ ? newest_->step : 0;
  require(metrics.step > before, "metrics row of step {} after step {}", metrics.step, before);
  newest_ = metrics;
  file_->append(to_json_line(metrics) + '\n');
}

void MetricsFile::add_val_loss(double val_loss) {
  require(newest_ && !newest_->val_loss, "no metrics row that lacks val_loss");
  newest_->val_loss = val_loss;
  const std::filesystem::path path = file_->path();
  std::string content;
  for_each_line(read_bytes(path), [&](const std::string& line) {
    StepMetrics row;
    const bool same = parse_json_line(line, row) && row.step == newest_->step;
    content += (same ? to_json_line(*newest_) : line) + '\n';
  });
  std::string problem;
  if (!replace_file(path, content, problem)) {
    log::warning("cannot add the held-out loss of step {} to {}: {}", newest_->step, path.string(),
                 problem);
  }
  file_ = std::make_unique<LogFile>(path, "metrics rows");
}

}  // namespace troupe
