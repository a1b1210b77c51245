#include "parallel/mesh/token_sharding.h"

#include "core/base/error.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

std::vector<int64_t> context_positions(const Parallelism& parallelism, int cp, int64_t seq_len) {
  Layout layout = Layout::replicated({seq_len}, MeshKind::attention, {});
  layout.shard(0, Axis::cp, parallelism.cp_kind == CpKind::ring ? Cut::zigzag : Cut::block);
  std::array<int, kAxes> at{};
  at[static_cast<size_t>(Axis::cp)] = cp;
  std::vector<int64_t> positions;
  for (const LocalPart& part : local_slice(layout, parallelism.shape, at).parts) {
    for (int64_t i = 0; i < part.global.size[0]; ++i)
      positions.push_back(part.global.offset[0] + i);
  }
  return positions;
}

namespace {

std::vector<int32_t> rows_of(const Parallelism& parallelism, int cp, int64_t sequences,
                             int64_t seq_len) {
  const std::vector<int64_t> positions = context_positions(parallelism, cp, seq_len);
  std::vector<int32_t> rows;
  rows.reserve(static_cast<size_t>(sequences) * positions.size());
  for (int64_t b = 0; b < sequences; ++b) {
    for (int64_t s : positions) rows.push_back(static_cast<int32_t>(b * seq_len + s));
  }
  return rows;
}

}  // namespace

TokenSharding::TokenSharding(const Parallelism& parallelism,
                             const std::array<int, kAxes>& coordinates, int64_t sequences,
                             int64_t seq_len)
    : sp_(parallelism.sp),
      parts_(parallelism.shape[Axis::cp] * parallelism.shape[Axis::tp]),
      sequences_(sequences),
      seq_len_(seq_len) {
  const int cp_size = parallelism.shape[Axis::cp];
  const int tp_size = parallelism.shape[Axis::tp];
  const int cp = coordinates[static_cast<size_t>(Axis::cp)];
  const int tp = coordinates[static_cast<size_t>(Axis::tp)];
  place_of_token_.resize(static_cast<size_t>(tokens()));
  int32_t place = 0;
  for (int c = 0; c < cp_size; ++c) {
    const std::vector<int32_t> rows = rows_of(parallelism, c, sequences, seq_len);
    const auto count = static_cast<int64_t>(rows.size());
    if (sp_ && count % tp_size != 0) {
      fail(
          ExitCode::usage,
          "{} token rows of {} sequences of {} do not divide over tp {}: with sequence parallelism "
          "seq_len must be a multiple of cp x tp",
          count, sequences, seq_len, tp_size);
    }
    for (int t = 0; t < tp_size; ++t) {
      const int64_t begin = count * t / tp_size;
      const int64_t end = count * (t + 1) / tp_size;
      counts_.push_back(end - begin);
      if (c != cp) continue;
      tp_counts_.push_back(end - begin);
      if (t != tp) continue;
      own_begin_ = begin;
      own_rows_.assign(rows.begin() + begin, rows.begin() + end);
    }
    for (int32_t token : rows) place_of_token_[static_cast<size_t>(token)] = place++;
    if (c == cp) attention_rows_ = rows;
  }
}

const std::vector<int32_t>& TokenSharding::stream_rows() const {
  return sp_ ? own_rows_ : attention_rows_;
}

}  // namespace troupe
