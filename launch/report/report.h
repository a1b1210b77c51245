// One self-contained HTML page about one run or several: no network, no libraries, below 2 MB.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

// The page of the runs in `run_dirs` (each holds metrics.jsonl, and experts.bin and
// config.resolved.yaml if there), overlaid when there are several. Rows are thinned to fit; every
// value on the page is one of metrics.jsonl. Runs without rows give a page that says so.
std::string report(const std::vector<std::filesystem::path>& run_dirs);

// Does a file that begins so hold a page made here? Its generator says so; pages made before there
// was one are known by their title.
bool is_report(std::string_view beginning);

// Does the directory hold the metrics of a run?
bool has_metrics(const std::filesystem::path& run_dir);

}  // namespace troupe
