// A layout as a table and as a picture: where every rank stands, who shares what with whom, and
// what crosses each kind of link in a step.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launch/config/run_config.h"

namespace troupe {

// A kind of link: the groups of ranks over one set of axes.
struct LinkTraffic {
  std::string group;          // as the communicators are named: "tp", "dpxcp", "world"
  std::string what;           // the parts of it, the largest first
  int64_t heaviest = 0;       // bytes that one rank sends at most
  int64_t total = 0;          // bytes that all ranks send
  int64_t between_nodes = 0;  // of these from node to node, by parallel.ranks_per_node
};
// Rows that experts get are taken as evenly spread.
std::vector<LinkTraffic> link_traffic(const RunConfig& config);

std::string layout_table(const RunConfig& config);
// One self-contained SVG document.
std::string layout_svg(const RunConfig& config);
// Does a file that begins so hold such a picture? Its first comment says so.
bool is_layout_svg(std::string_view beginning);

}  // namespace troupe
