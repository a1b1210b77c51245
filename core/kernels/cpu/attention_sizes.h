// What the passes of blocked attention share: the sizes of a call, which key blocks the queries of
// a block see, and the packed forms of all key blocks.
#pragma once

#include <algorithm>
#include <limits>

#include "core/base/error.h"
#include "core/kernels/attention.h"
#include "core/kernels/cpu/attention_pack.h"
#include "core/kernels/cpu/row_access.h"

namespace troupe::kernels::cpu {

constexpr int64_t kAttentionTile = kBlockRows * kBlockRows;

inline int64_t blocks_of(int64_t n) { return (n + kBlockRows - 1) / kBlockRows; }

// The sizes of one call.
struct AttentionSizes {
  int64_t batch, queries, keys, heads, kv_heads, head_dim;
  int64_t group;    // query heads per kv head
  int64_t words;    // of a head, along head_dim
  int64_t columns;  // head_dim, padded
  int64_t query_blocks;
  int64_t key_blocks;   // up to the last key that some query sees
  int64_t block_words;  // of 64 rows, along the rows
};

template <typename P>
AttentionSizes sizes_of(const View& q, const View& k, const AttentionMask& mask) {
  AttentionSizes s{};
  s.batch = q.dim(0);
  s.queries = q.dim(1);
  s.heads = q.dim(2);
  s.head_dim = q.dim(3);
  s.keys = k.dim(1);
  s.kv_heads = k.dim(2);
  s.group = s.heads / s.kv_heads;
  s.words = (s.head_dim + P::kNumbers - 1) / P::kNumbers;
  s.columns = (s.head_dim + kColumns - 1) / kColumns * kColumns;
  s.query_blocks = blocks_of(s.queries);
  int64_t seen = 0;
  for (int64_t b = 0; b < s.batch && s.queries > 0; ++b) {
    seen = std::max<int64_t>(seen, mask.end.as<int32_t>()[(b + 1) * s.queries - 1]);
  }
  require(seen <= s.keys, "attention: a query sees key {} of {}", seen - 1, s.keys);
  s.key_blocks = blocks_of(seen);
  s.block_words = kBlockRows / P::kNumbers;
  return s;
}

template <typename In>
HeadRows<In> head_rows(const View& x, int64_t b, int64_t head, int64_t block) {
  const int64_t first = block * kBlockRows;
  return {static_cast<const In*>(x.data) + b * x.strides[0] + first * x.strides[1] +
              head * x.strides[2],
          x.strides[1], x.dim(1) - first, x.dim(3)};
}

// Which keys the queries of a block see.
class VisibleKeys {
 public:
  VisibleKeys(const AttentionMask& mask, const AttentionSizes& s, int64_t b, int64_t query_block)
      : first_(mask.first.as<int32_t>() + b * s.queries),
        end_(mask.end.as<int32_t>() + b * s.queries),
        begin_query_(query_block * kBlockRows),
        last_query_(std::min(s.queries, begin_query_ + kBlockRows) - 1) {}

  // Key blocks [first_block, end_block) are seen by some query.
  int64_t first_block() const { return first_[begin_query_] / kBlockRows; }
  int64_t end_block() const { return blocks_of(end_[last_query_]); }
  bool any() const { return first_block() < end_block(); }
  bool any(int64_t block) const { return block >= first_block() && block < end_block(); }
  bool all(int64_t block) const {
    return first_[last_query_] <= block * kBlockRows &&
           end_[begin_query_] >= (block + 1) * kBlockRows;
  }
  // Writes -infinity over the scores of keys that are not seen.
  template <typename T>
  void hide(int64_t block, T* s) const {
    if (all(block)) return;
    const T hidden = -std::numeric_limits<T>::infinity();
    for (int64_t q = begin_query_; q <= last_query_; ++q, s += kBlockRows) {
      const int64_t low = std::clamp<int64_t>(first_[q] - block * kBlockRows, 0, kBlockRows);
      const int64_t high = std::clamp<int64_t>(end_[q] - block * kBlockRows, low, kBlockRows);
      std::fill(s, s + low, hidden);
      std::fill(s + high, s + kBlockRows, hidden);
    }
  }

 private:
  const int32_t* first_;
  const int32_t* end_;
  int64_t begin_query_;
  int64_t last_query_;
};

// One form of all key blocks of all kv heads.
template <typename P>
class PackedKeys {
 public:
  enum class Form { transposed, columns };
  PackedKeys(Stream& stream, const View& x, const AttentionSizes& s, Form form)
      : key_blocks_(s.key_blocks),
        kv_heads_(s.kv_heads),
        words_(stream, s.batch * s.kv_heads * s.key_blocks,
               form == Form::transposed ? s.words * kBlockRows : s.block_words * s.columns) {
    parallel_for(stream, s.batch * s.kv_heads * s.key_blocks, [&](int64_t piece) {
      const int64_t block = piece % s.key_blocks;
      const int64_t head = piece / s.key_blocks % s.kv_heads;
      const int64_t b = piece / s.key_blocks / s.kv_heads;
      const auto rows = head_rows<typename P::In>(x, b, head, block);
      if (form == Form::transposed) {
        pack_transposed<P>(rows, s.words, words_.slot(piece));
      } else {
        pack_columns<P>(rows, s.columns, words_.slot(piece));
      }
    });
  }
  const typename P::Word* block(int64_t b, int64_t head, int64_t block) const {
    return words_.slot((b * kv_heads_ + head) * key_blocks_ + block);
  }

 private:
  int64_t key_blocks_;
  int64_t kv_heads_;
  Scratch<typename P::Word> words_;
};

}  // namespace troupe::kernels::cpu
