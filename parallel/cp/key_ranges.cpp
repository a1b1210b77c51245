#include "parallel/cp/key_ranges.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

// How many of the positions are below p, for p = 0 .. seq_len.
std::vector<int32_t> counts_below(const std::vector<int64_t>& positions, int64_t seq_len) {
  require(std::is_sorted(positions.begin(), positions.end()), "positions of keys do not rise");
  std::vector<int32_t> below(static_cast<size_t>(seq_len) + 1, 0);
  for (int64_t position : positions) ++below[static_cast<size_t>(position) + 1];
  for (size_t p = 1; p < below.size(); ++p) below[p] += below[p - 1];
  return below;
}

}  // namespace

std::vector<KeyRange> key_ranges(const std::vector<int64_t>& query_positions,
                                 const std::vector<std::vector<int64_t>>& key_positions,
                                 int64_t sequences, int64_t seq_len,
                                 const AttentionOptions& options,
                                 const std::shared_ptr<Device>& device) {
  const auto queries = static_cast<int64_t>(query_positions.size());
  const Tensor first_seen = first_visible(sequences, seq_len, options, device);
  const auto seen_from = host_copy<int32_t>(first_seen);
  std::vector<KeyRange> ranges;
  for (const std::vector<int64_t>& positions : key_positions) {
    const std::vector<int32_t> below = counts_below(positions, seq_len);
    KeyRange range{Tensor::empty({sequences, queries}, DType::i32, device),
                   Tensor::empty({sequences, queries}, DType::i32, device)};
    auto firsts = host_output<int32_t>(range.first);
    auto ends = host_output<int32_t>(range.end);
    int64_t at = 0;
    for (int64_t b = 0; b < sequences; ++b) {
      for (int64_t position : query_positions) {
        const int32_t seen = seen_from[b * seq_len + position];
        firsts[at] = below[static_cast<size_t>(std::max(seen, 0))];
        ends[at] = below[static_cast<size_t>(position) + 1];
        range.any |= firsts[at] < ends[at];
        ++at;
      }
    }
    firsts.upload();
    ends.upload();
    ranges.push_back(std::move(range));
  }
  return ranges;
}

}  // namespace troupe
