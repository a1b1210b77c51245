#include "launch/metrics/metrics_file.h"

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

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

MetricsFile::MetricsFile(const std::filesystem::path& run_dir, int64_t resume_step) {
  const auto path = run_dir / kFileName;
  const std::string content = read_bytes(path);
  std::map<int64_t, std::string> kept;  // last one of a step wins
  for_each_line(content, [&](const std::string& line) {
    StepMetrics row;
    if (parse_json_line(line, row) && row.step <= resume_step) kept[row.step] = line;
  });
  std::string keep;
  for (const auto& [step, line] : kept) keep += line + '\n';
  keep_only(path, content, keep);
  last_step_ = kept.empty() ? 0 : kept.rbegin()->first;
  file_ = std::make_unique<LogFile>(path, "metrics rows");
}

void MetricsFile::append(const StepMetrics& metrics) {
  require(metrics.step > last_step_, "metrics row of step {} after step {}", metrics.step,
          last_step_);
  last_step_ = metrics.step;
  file_->append(to_json_line(metrics) + '\n');
}

}  // namespace troupe
