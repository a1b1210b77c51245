#include "models/cost/outgoing.h"

#include <algorithm>

#include "parallel/comm/traffic_model.h"

namespace troupe {

void Outgoing::add(const char* part, const RankGroup& group, const std::vector<int64_t>& to) {
  const int node = given_node(parallelism_, rank_);
  int64_t bytes = 0;
  int64_t between = 0;
  for (size_t i = 0; i < group.ranks.size(); ++i) {
    if (static_cast<int>(i) == group.place) continue;
    bytes += to[i];
    if (given_node(parallelism_, group.ranks[i]) != node) between += to[i];
  }
  if (bytes == 0) return;
  estimate_.bytes_per_step += bytes;
  estimate_.between_nodes += between;
  auto found = std::find_if(
      estimate_.parts.begin(), estimate_.parts.end(),
      [&](const CommunicationPart& p) { return p.name == part && p.group == group.name; });
  if (found == estimate_.parts.end()) {
    found = estimate_.parts.insert(found, {part, group.name, 0, 0});
  }
  found->bytes += bytes;
  found->between_nodes += between;
}

void Outgoing::add_each(const char* part, const RankGroup& group, int64_t bytes) {
  add(part, group, std::vector<int64_t>(group.ranks.size(), bytes));
}

void Outgoing::add_sums(const char* part, const RankGroup& group, int64_t sums, int64_t elements,
                        int64_t element_bytes) {
  std::vector<int64_t> to;
  for (int peer = 0; peer < group.size(); ++peer) {
    to.push_back(sums *
                 all_reduce_bytes_to(elements, element_bytes, group.place, peer, group.size()));
  }
  add(part, group, to);
}

}  // namespace troupe
