#include "launch/report/report.h"

#include "launch/report/page.h"
#include "launch/report/run_data.h"

namespace troupe {

std::string report(const std::vector<std::filesystem::path>& run_dirs) {
  return report_page::page(report_page::load_runs(run_dirs));
}

bool is_report(std::string_view beginning) {
  return beginning.starts_with("<!DOCTYPE html>") &&
         (beginning.find("<meta name=\"generator\" content=\"troupe report\">") !=
              std::string_view::npos ||
          beginning.find("<title>Troupe report: ") != std::string_view::npos);
}

bool has_metrics(const std::filesystem::path& run_dir) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(run_dir / "metrics.jsonl", ignored);
}

}  // namespace troupe
