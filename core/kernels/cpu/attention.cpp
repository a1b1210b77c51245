// Blocked attention after Dao et al. 2022, FlashAttention. Forward: one task per (query block,
// head), a running softmax over key blocks. Backward: one task per (sequence, kv head), key blocks
// outside, query blocks inside, so that every sum has one order.
#include "core/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/kernels/cpu/attention_pack.h"
#include "core/kernels/cpu/row_access.h"

namespace troupe::kernels {
namespace {

constexpr int64_t kTile = kBlockRows * kBlockRows;

int64_t blocks_of(int64_t n) { return (n + kBlockRows - 1) / kBlockRows; }

// The sizes of one call.
struct Sizes {
  int64_t batch, queries, keys, heads, kv_heads, head_dim;
  int64_t group;    // query heads per kv head
  int64_t words;    // of a head, along head_dim
  int64_t columns;  // head_dim, padded
  int64_t query_blocks;
  int64_t key_blocks;
  int64_t block_words;  // of 64 rows, along the rows
};

template <typename P>
Sizes sizes_of(const View& q, const View& k) {
  Sizes s{};
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
  s.key_blocks = blocks_of(s.keys);
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
class Visible {
 public:
  Visible(const AttentionMask& mask, const Sizes& s, int64_t b, int64_t query_block)
      : first_(mask.first.as<int32_t>() + b * s.queries),
        begin_(query_block * kBlockRows),
        end_(std::min(s.queries, begin_ + kBlockRows)),
        offset_(mask.q_offset),
        keys_(s.keys) {}

  int64_t first(int64_t query) const { return first_[query]; }
  int64_t last(int64_t query) const { return std::min(query + offset_, keys_ - 1); }
  int64_t first_block() const { return first(begin_) / kBlockRows; }
  int64_t last_block() const { return last(end_ - 1) < 0 ? -1 : last(end_ - 1) / kBlockRows; }
  bool any(int64_t block) const { return block >= first_block() && block <= last_block(); }
  bool all(int64_t block) const {
    return first(end_ - 1) <= block * kBlockRows && last(begin_) >= (block + 1) * kBlockRows - 1;
  }
  // Writes -infinity over the scores of keys that are not seen.
  template <typename T>
  void hide(int64_t block, T* s) const {
    if (all(block)) return;
    const T hidden = -std::numeric_limits<T>::infinity();
    for (int64_t q = begin_; q < end_; ++q, s += kBlockRows) {
      const int64_t low = std::clamp<int64_t>(first(q) - block * kBlockRows, 0, kBlockRows);
      const int64_t high = std::clamp<int64_t>(last(q) + 1 - block * kBlockRows, low, kBlockRows);
      std::fill(s, s + low, hidden);
      std::fill(s + high, s + kBlockRows, hidden);
    }
  }

 private:
  const int32_t* first_;
  int64_t begin_;
  int64_t end_;
  int64_t offset_;
  int64_t keys_;
};

// One form of all key blocks of all kv heads.
template <typename P>
class PackedKeys {
 public:
  enum class Form { transposed, columns };
  PackedKeys(Stream& stream, const View& x, const Sizes& s, Form form)
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

template <typename P>
struct ForwardTask {
  using T = typename P::T;
  using Word = typename P::Word;
  const Sizes& s;
  T scale;
  const PackedKeys<P>& keys;
  const PackedKeys<P>& values;
  Scratch<Word> words;  // per thread: query rows | probabilities
  Scratch<T> numbers;   // per thread: scores | output | running max | running sum

  ForwardTask(Stream& stream, const Sizes& sizes, double factor, const PackedKeys<P>& k,
              const PackedKeys<P>& v)
      : s(sizes),
        scale(static_cast<T>(factor)),
        keys(k),
        values(v),
        words(stream, stream.threads, kBlockRows * sizes.words + kTile),
        numbers(stream, stream.threads, kTile + kBlockRows * (sizes.columns + 2)) {}

  void operator()(const View& q, const AttentionMask& mask, int64_t b, int64_t head, int64_t block,
                  const View& out, const View& lse) const {
    Word* q_rows = words.slot(thread_index());
    Word* p = q_rows + kBlockRows * s.words;
    T* scores = numbers.slot(thread_index());
    T* o = scores + kTile;
    T* m = o + kBlockRows * s.columns;
    T* l = m + kBlockRows;
    pack_rows<P>(head_rows<typename P::In>(q, b, head, block), s.words, q_rows);
    std::fill(o, m, T(0));
    std::fill(m, l, -std::numeric_limits<T>::infinity());
    std::fill(l, l + kBlockRows, T(0));
    const Visible visible(mask, s, b, block);
    const int64_t kv = head / s.group;
    for (int64_t j = visible.first_block(); j <= visible.last_block(); ++j) {
      run(BlockProduct<Word, T>{kBlockRows, kBlockRows, s.words, q_rows, s.words, 1,
                                keys.block(b, kv, j), kBlockRows, scores, kBlockRows, false});
      visible.hide(j, scores);
      run(ForwardSoftmax<Word, T>{scores, scale, m, l, o, s.columns, p});
      run(BlockProduct<Word, T>{kBlockRows, s.columns, s.block_words, p, s.block_words, 1,
                                values.block(b, kv, j), s.columns, o, s.columns, true});
    }
    finish(b, head, block, o, m, l, out, lse);
  }

  void finish(int64_t b, int64_t head, int64_t block, T* o, const T* m, const T* l, const View& out,
              const View& lse) const {
    const int64_t first = block * kBlockRows;
    for (int64_t r = 0; r < std::min(kBlockRows, s.queries - first); ++r) {
      const bool empty = l[r] == T(0);
      T* row = o + r * s.columns;
      vec::scale(empty ? T(0) : T(1) / l[r], row, row, s.head_dim);
      write_row<T>(out, ((b * s.queries + first + r) * s.heads + head) * s.head_dim, s.head_dim,
                   row);
      lse.as<T>()[(b * s.heads + head) * s.queries + first + r] =
          empty ? std::numeric_limits<T>::infinity() : m[r] + std::log(l[r]);
    }
  }
};

template <typename P>
void forward_as(Stream& stream, const View& q, const View& k, const View& v, double scale,
                const AttentionMask& mask, const View& out, const View& lse) {
  const Sizes s = sizes_of<P>(q, k);
  if (q.elements() == 0) return;
  using Form = typename PackedKeys<P>::Form;
  const PackedKeys<P> keys(stream, k, s, Form::transposed);
  const PackedKeys<P> values(stream, v, s, Form::columns);
  const ForwardTask<P> task(stream, s, scale, keys, values);
  const int64_t heads = s.batch * s.heads;
  parallel_for(stream, heads * s.query_blocks, [&](int64_t piece) {
    const int64_t block = s.query_blocks - 1 - piece / heads;  // the last sees most keys
    task(q, mask, piece % heads / s.heads, piece % s.heads, block, out, lse);
  });
}

// What a backward task keeps of the query heads of one kv head, for all their blocks.
template <typename P>
struct QueryForms {
  using T = typename P::T;
  using Word = typename P::Word;
  // Words of one block.
  int64_t rows_size;     // q and dout as A operands
  int64_t columns_size;  // as B operands
  Word* q_rows;
  Word* dout_rows;
  Word* q_columns;
  Word* dout_columns;
  T* dq;
  T* lse;
  T* d;  // sum(dout * out) of each row

  static int64_t words_needed(const Sizes& s) {
    return s.group * s.query_blocks * 2 * (kBlockRows * s.words + s.block_words * s.columns);
  }
  static int64_t numbers_needed(const Sizes& s) {
    return s.group * s.query_blocks * kBlockRows * (s.columns + 2);
  }
  QueryForms(const Sizes& s, Word* words, T* numbers)
      : rows_size(kBlockRows * s.words), columns_size(s.block_words * s.columns) {
    const int64_t blocks = s.group * s.query_blocks;
    q_rows = words;
    dout_rows = q_rows + blocks * rows_size;
    q_columns = dout_rows + blocks * rows_size;
    dout_columns = q_columns + blocks * columns_size;
    dq = numbers;
    lse = dq + blocks * kBlockRows * s.columns;
    d = lse + blocks * kBlockRows;
    std::fill(dq, lse, T(0));
  }
};

template <typename P>
struct BackwardTask {
  using T = typename P::T;
  using In = typename P::In;
  using Word = typename P::Word;
  const Sizes& s;
  T scale;
  const AttentionMask& mask;
  const View &q, &out, &lse, &dout;

  T row_dot(const In* a, const In* b) const {
    if constexpr (std::is_same_v<In, T>) {
      return vec::dot(a, b, s.head_dim);
    } else {
      constexpr int64_t kPart = 256;
      T wide_a[kPart];
      T wide_b[kPart];
      T total = 0;
      for (int64_t i = 0; i < s.head_dim; i += kPart) {
        const int64_t n = std::min(kPart, s.head_dim - i);
        vec::to_f32(a + i, wide_a, n);
        vec::to_f32(b + i, wide_b, n);
        total += vec::dot(wide_a, wide_b, n);
      }
      return total;
    }
  }

  // Packs the blocks of one head; at: its place in the forms.
  void prepare(const QueryForms<P>& forms, int64_t b, int64_t head, int64_t block,
               int64_t at) const {
    const auto q_block = head_rows<In>(q, b, head, block);
    const auto g_block = head_rows<In>(dout, b, head, block);
    const auto o_block = head_rows<In>(out, b, head, block);
    pack_rows<P>(q_block, s.words, forms.q_rows + at * forms.rows_size);
    pack_rows<P>(g_block, s.words, forms.dout_rows + at * forms.rows_size);
    pack_columns<P>(q_block, s.columns, forms.q_columns + at * forms.columns_size);
    pack_columns<P>(g_block, s.columns, forms.dout_columns + at * forms.columns_size);
    for (int64_t r = 0; r < kBlockRows; ++r) {
      const bool exists = r < q_block.count;
      forms.d[at * kBlockRows + r] =
          exists ? row_dot(g_block.data + r * g_block.stride, o_block.data + r * o_block.stride)
                 : T(0);
      forms.lse[at * kBlockRows + r] =
          exists ? lse.as<T>()[(b * s.heads + head) * s.queries + block * kBlockRows + r]
                 : std::numeric_limits<T>::infinity();
    }
  }

  struct KeyBlock {
    const Word* k_transposed;
    const Word* v_transposed;
    const Word* k_columns;
    T* dk;
    T* dv;
  };
  struct Tiles {
    T* s;
    T* dp;
    Word* p_columns;
    Word* ds_rows;
    Word* ds_columns;
  };

  // Adds what one query block and one key block give each other.
  void meet(const QueryForms<P>& forms, const Visible& visible, int64_t at, int64_t j,
            const KeyBlock& key, const Tiles& t) const {
    const int64_t n = s.columns;
    run(BlockProduct<Word, T>{kBlockRows, kBlockRows, s.words, forms.q_rows + at * forms.rows_size,
                              s.words, 1, key.k_transposed, kBlockRows, t.s, kBlockRows, false});
    visible.hide(j, t.s);
    run(BlockProduct<Word, T>{kBlockRows, kBlockRows, s.words,
                              forms.dout_rows + at * forms.rows_size, s.words, 1, key.v_transposed,
                              kBlockRows, t.dp, kBlockRows, false});
    run(BackwardSoftmax<Word, T>{t.s, t.dp, scale, forms.lse + at * kBlockRows,
                                 forms.d + at * kBlockRows, t.p_columns, t.ds_rows, t.ds_columns});
    run(BlockProduct<Word, T>{kBlockRows, n, s.block_words, t.p_columns, 1, kBlockRows,
                              forms.dout_columns + at * forms.columns_size, n, key.dv, n, true});
    run(BlockProduct<Word, T>{kBlockRows, n, s.block_words, t.ds_columns, 1, kBlockRows,
                              forms.q_columns + at * forms.columns_size, n, key.dk, n, true});
    run(BlockProduct<Word, T>{kBlockRows, n, s.block_words, t.ds_rows, s.block_words, 1,
                              key.k_columns, n, forms.dq + at * kBlockRows * n, n, true});
  }

  void write(const View& to, int64_t b, int64_t head, int64_t block, const T* rows) const {
    const int64_t first = block * kBlockRows;
    for (int64_t r = 0; r < std::min(kBlockRows, to.dim(1) - first); ++r) {
      write_row<T>(to, ((b * to.dim(1) + first + r) * to.dim(2) + head) * s.head_dim, s.head_dim,
                   rows + r * s.columns);
    }
  }
};

template <typename P>
void backward_as(Stream& stream, const View& q, const View& k, const View& v, double scale,
                 const AttentionMask& mask, const View& out, const View& lse, const View& dout,
                 const View& dq, const View& dk, const View& dv) {
  using T = typename P::T;
  using Word = typename P::Word;
  const Sizes s = sizes_of<P>(q, k);
  if (k.elements() == 0) return;
  using Form = typename PackedKeys<P>::Form;
  const PackedKeys<P> k_transposed(stream, k, s, Form::transposed);
  const PackedKeys<P> v_transposed(stream, v, s, Form::transposed);
  const PackedKeys<P> k_columns(stream, k, s, Form::columns);
  const int64_t form_words = QueryForms<P>::words_needed(s);
  const int64_t form_numbers = QueryForms<P>::numbers_needed(s);
  const Scratch<Word> words(stream, stream.threads, form_words + 3 * kTile);
  const Scratch<T> numbers(stream, stream.threads,
                           form_numbers + 2 * kTile + 2 * kBlockRows * s.columns);
  const BackwardTask<P> task{s, static_cast<T>(scale), mask, q, out, lse, dout};
  parallel_for(stream, s.batch * s.kv_heads, [&](int64_t piece) {
    const int64_t b = piece / s.kv_heads;
    const int64_t kv = piece % s.kv_heads;
    Word* my_words = words.slot(thread_index());
    T* my_numbers = numbers.slot(thread_index());
    const QueryForms<P> forms(s, my_words, my_numbers);
    T* s_tile = my_numbers + form_numbers;
    T* dp_tile = s_tile + kTile;
    T* dk_sum = dp_tile + kTile;
    T* dv_sum = dk_sum + kBlockRows * s.columns;
    Word* tile_words = my_words + form_words;
    const typename BackwardTask<P>::Tiles tiles{
        s_tile, dp_tile, tile_words, tile_words + kTile,
        P::kNumbers == 1 ? tile_words + kTile : tile_words + 2 * kTile};
    for (int64_t g = 0; g < s.group; ++g) {
      for (int64_t i = 0; i < s.query_blocks; ++i) {
        task.prepare(forms, b, kv * s.group + g, i, g * s.query_blocks + i);
      }
    }
    for (int64_t j = 0; j < s.key_blocks; ++j) {
      std::fill(dk_sum, dk_sum + 2 * kBlockRows * s.columns, T(0));
      const typename BackwardTask<P>::KeyBlock key{k_transposed.block(b, kv, j),
                                                   v_transposed.block(b, kv, j),
                                                   k_columns.block(b, kv, j), dk_sum, dv_sum};
      for (int64_t g = 0; g < s.group; ++g) {
        for (int64_t i = 0; i < s.query_blocks; ++i) {
          const Visible visible(mask, s, b, i);
          if (visible.any(j)) task.meet(forms, visible, g * s.query_blocks + i, j, key, tiles);
        }
      }
      task.write(dk, b, kv, j, dk_sum);
      task.write(dv, b, kv, j, dv_sum);
    }
    for (int64_t g = 0; g < s.group; ++g) {
      for (int64_t i = 0; i < s.query_blocks; ++i) {
        task.write(dq, b, kv * s.group + g, i,
                   forms.dq + (g * s.query_blocks + i) * kBlockRows * s.columns);
      }
    }
  });
}

}  // namespace

void attention(Stream& stream, View q, View k, View v, double scale, const AttentionMask& mask,
               View out, View lse) {
  switch (q.dtype) {
    case DType::f64:
      return forward_as<AttentionF64>(stream, q, k, v, scale, mask, out, lse);
    case DType::f32:
      return forward_as<AttentionF32>(stream, q, k, v, scale, mask, out, lse);
    default:
      return forward_as<AttentionBF16>(stream, q, k, v, scale, mask, out, lse);
  }
}

void attention_gradient(Stream& stream, View q, View k, View v, double scale,
                        const AttentionMask& mask, View out, View lse, View dout, View dq, View dk,
                        View dv) {
  switch (q.dtype) {
    case DType::f64:
      return backward_as<AttentionF64>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv);
    case DType::f32:
      return backward_as<AttentionF32>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv);
    default:
      return backward_as<AttentionBF16>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv);
  }
}

}  // namespace troupe::kernels
