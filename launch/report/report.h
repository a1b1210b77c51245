// One self-contained HTML page about one run or several: no network, no libraries, below 2 MB.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace troupe {

// The page of the runs in `run_dirs` (each holds metrics.jsonl, and experts.bin and
// config.resolved.yaml if there), overlaid when there are several. Rows are thinned to fit; every
// value on the page is one of metrics.jsonl. Runs without rows give a page that says so.
std::string report(const std::vector<std::filesystem::path>& run_dirs);

// Does the directory hold the metrics of a run?
bool has_metrics(const std::filesystem::path& run_dir);

}  // namespace troupe
