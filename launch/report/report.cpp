#include "launch/report/report.h"

#include "launch/report/page.h"
#include "launch/report/run_data.h"

namespace troupe {

std::string report(const std::vector<std::filesystem::path>& run_dirs) {
  return report_page::page(report_page::load_runs(run_dirs));
}

bool has_metrics(const std::filesystem::path& run_dir) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(run_dir / "metrics.jsonl", ignored);
}

}  // namespace troupe
