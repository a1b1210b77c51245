#include "core/text/batch.h"

#include <cstddef>

namespace troupe {

void TokenBatch::pad_to(int64_t count) {
  const int64_t next = samples.empty() ? 0 : samples.back() + 1;
  for (int64_t i = sequences; i < count; ++i) samples.push_back(next + i - sequences);
  if (count <= sequences) return;
  sequences = count;
  const auto tokens = static_cast<size_t>(count * seq_len);
  ids.resize(tokens, 0);
  targets.resize(tokens, 0);
  documents.resize(tokens, 0);
  valid.resize(tokens, 0);
}

}  // namespace troupe
