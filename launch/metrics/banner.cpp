#include <fmt/format.h>

#include <algorithm>

#include "launch/metrics/progress.h"
#include "launch/metrics/text.h"

namespace troupe {
namespace {

std::string aligned(const std::vector<std::pair<std::string, std::string>>& rows,
                    const std::string& indent) {
  size_t widest = 0;
  for (const auto& [key, value] : rows) widest = std::max(widest, key.size());
  std::string out;
  for (const auto& [key, value] : rows) {
    out += fmt::format("{}{:<{}}  {}\n", indent, key, widest, value);
  }
  return out;
}

std::string counted(int64_t n, const char* one, const char* many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

}  // namespace

std::string banner(const BannerInfo& info) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (!info.model.empty()) rows.emplace_back("model", info.model);
  rows.emplace_back("parameters", info.active_parameters == info.parameters
                                      ? fmt::format("{} total, all active", info.parameters)
                                      : fmt::format("{} total, {} active for a token",
                                                    info.parameters, info.active_parameters));
  rows.emplace_back(
      "ranks",
      fmt::format("{}{}{}, {} each, {}{}{}", info.world_size, info.layout.empty() ? "" : ": ",
                  info.layout, counted(info.threads, "thread", "threads"), info.precision,
                  info.instructions.empty() ? "" : " by ", info.instructions));
  if (!info.data.empty()) rows.emplace_back("data", info.data);
  rows.emplace_back("batch",
                    fmt::format("{} a step, {}", counted(info.tokens_per_step, "token", "tokens"),
                                counted(info.steps, "step", "steps")));
  if (info.memory_estimate_bytes > 0) {
    rows.emplace_back("memory",
                      fmt::format("{} estimated on the heaviest rank",
                                  bytes_text(static_cast<double>(info.memory_estimate_bytes))));
  }
  rows.emplace_back("run dir", info.run_dir);
  rows.emplace_back("start", info.resume_step == 0
                                 ? std::string("new, from step 0")
                                 : fmt::format("resumes after step {} from {}", info.resume_step,
                                               info.resume_from));
  std::string out = fmt::format("{}: run {}\n", info.version, info.run_name);
  out += aligned(rows, "  ");
  for (const std::string& warning : info.warnings) out += fmt::format("warning: {}\n", warning);
  return out;
}

std::string end_table(const EndInfo& info) {
  std::string out = aligned(info.rows, "");
  if (!info.next_commands.empty()) out += "next:\n";
  for (const std::string& command : info.next_commands) out += fmt::format("  {}\n", command);
  return out;
}

}  // namespace troupe
