#include "parallel/cp/context_attention.h"

#include <numeric>

#include "core/base/error.h"
#include "core/ops/raw.h"
#include "parallel/cp/all_to_all_attention.h"
#include "parallel/cp/head_exchange.h"
#include "parallel/cp/ring_attention.h"

namespace troupe {
namespace {

void check(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options,
           const TokenSharding& sharding) {
  raw::check_same_type("context_attention", q, k);
  raw::check_same_type("context_attention", q, v);
  const Shape& shape = q.shape();
  require(shape.rank() == 4 && k.rank() == 4 && k.shape() == v.shape() &&
              shape[0] == sharding.sequences() && k.dim(0) == shape[0] && k.dim(1) == shape[1] &&
              k.dim(3) == shape[3] && k.dim(2) > 0 && shape[2] % k.dim(2) == 0 && shape[3] > 0 &&
              shape[0] * shape[1] == static_cast<int64_t>(sharding.attention_rows().size()),
          "context_attention of queries {}, keys {} and values {} of {} sequences", shape.text(),
          k.shape().text(), v.shape().text(), sharding.sequences());
  require(options.window >= 0 && options.q_offset == 0,
          "context_attention with window {}, q_offset {}", options.window, options.q_offset);
  if (!options.documents.defined()) return;
  require(options.documents.elements() == sharding.tokens() &&
              options.documents.dtype() == DType::i32 && options.documents.contiguous(),
          "context_attention of {} tokens with documents {}", sharding.tokens(),
          options.documents.shape().text());
}

std::vector<int64_t> all_positions(int64_t seq_len) {
  std::vector<int64_t> positions(static_cast<size_t>(seq_len));
  std::iota(positions.begin(), positions.end(), int64_t{0});
  return positions;
}

}  // namespace

Tensor context_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionOptions& options, const TokenSharding& sharding,
                         const Mesh& mesh, const std::string& site) {
  const int cp = mesh.size(Axis::cp);
  if (cp == 1) return attention(q, k, v, options);
  check(q, k, v, options, sharding);
  Communicator& group = mesh.group(Axis::cp);
  const double scale = options.scale_for(q.dim(3));
  const int64_t seq_len = sharding.seq_len();
  const auto ranges = [&](const std::vector<int64_t>& queries,
                          const std::vector<std::vector<int64_t>>& keys) {
    return key_ranges(queries, keys, sharding.sequences(), seq_len, options, q.device());
  };
  if (mesh.parallelism().cp_kind == CpKind::ring) {
    std::vector<std::vector<int64_t>> positions;
    for (int rank = 0; rank < cp; ++rank) {
      positions.push_back(context_positions(mesh.parallelism(), rank, seq_len));
    }
    const auto& own = positions[static_cast<size_t>(group.rank())];
    return ring_attention(q, k, v, scale, ranges(own, positions), group, site);
  }
  if (q.dim(2) % cp != 0) {
    fail(ExitCode::usage,
         "{} query heads on a rank cannot be shared out over cp {}: with cp_kind "
         "all_to_all "
         "heads / tp must be a multiple of cp; or use cp_kind ring",
         q.dim(2), cp);
  }
  const std::vector<int64_t> all = all_positions(seq_len);
  return all_to_all_attention(q, k, v, scale, ranges(all, {all}).front(), group, site);
}

ContextBytes context_attention_bytes(CpKind kind, int cp, int64_t tokens, int64_t heads,
                                     int64_t kv_heads, int64_t head_dim, DType dtype) {
  if (cp == 1) return {};
  const auto narrow = static_cast<int64_t>(size_of(dtype));
  const auto broad = static_cast<int64_t>(size_of(wide(dtype)));
  if (kind == CpKind::ring) {
    const int64_t pair = 2 * tokens * kv_heads * head_dim;
    const int64_t keys = (cp - 1) * pair * narrow;
    return {keys, keys + cp * pair * broad};
  }
  const HeadSplit split(heads, kv_heads, cp);
  const int64_t bytes =
      (cp - 1) * tokens * (split.width() + split.query_heads()) * head_dim * narrow;
  return {bytes, bytes};
}

}  // namespace troupe
