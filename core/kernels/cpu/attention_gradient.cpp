// The gradient of blocked attention: one task per (sequence, kv head), key blocks outside, query
// blocks inside, so that every sum has one order.
#include <limits>

#include "core/kernels/attention.h"
#include "core/kernels/cpu/attention_sizes.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

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

  static int64_t words_needed(const AttentionSizes& s) {
    return s.group * s.query_blocks * 2 * (kBlockRows * s.words + s.block_words * s.columns);
  }
  static int64_t numbers_needed(const AttentionSizes& s) {
    return s.group * s.query_blocks * kBlockRows * (s.columns + 2);
  }
  QueryForms(const AttentionSizes& s, Word* words, T* numbers)
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
  const AttentionSizes& s;
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
  void meet(const QueryForms<P>& forms, const VisibleKeys& visible, int64_t at, int64_t j,
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

  // Writes the rows of a block, or adds them to what is there.
  void write(const View& to, int64_t b, int64_t head, int64_t block, const T* rows,
             KeyPart part = KeyPart::first) const {
    const int64_t first = block * kBlockRows;
    for (int64_t r = 0; r < std::min(kBlockRows, to.dim(1) - first); ++r) {
      const int64_t at = ((b * to.dim(1) + first + r) * to.dim(2) + head) * s.head_dim;
      if (part == KeyPart::further) {
        vec::axpy(T(1), rows + r * s.columns, to.as<T>() + at, s.head_dim);
      } else {
        write_row<T>(to, at, s.head_dim, rows + r * s.columns);
      }
    }
  }
};

template <typename P>
void backward_as(Stream& stream, const View& q, const View& k, const View& v, double scale,
                 const AttentionMask& mask, const View& out, const View& lse, const View& dout,
                 const View& dq, const View& dk, const View& dv, KeyPart part) {
  using T = typename P::T;
  using Word = typename P::Word;
  const AttentionSizes s = sizes_of<P>(q, k, mask);
  if (k.elements() == 0) return;
  using Form = typename PackedKeys<P>::Form;
  const PackedKeys<P> k_transposed(stream, k, s, Form::transposed);
  const PackedKeys<P> v_transposed(stream, v, s, Form::transposed);
  const PackedKeys<P> k_columns(stream, k, s, Form::columns);
  const int64_t form_words = QueryForms<P>::words_needed(s);
  const int64_t form_numbers = QueryForms<P>::numbers_needed(s);
  const Scratch<Word> words(stream, stream.threads, form_words + 3 * kAttentionTile);
  const Scratch<T> numbers(stream, stream.threads,
                           form_numbers + 2 * kAttentionTile + 2 * kBlockRows * s.columns);
  const BackwardTask<P> task{s, static_cast<T>(scale), mask, q, out, lse, dout};
  parallel_for(stream, s.batch * s.kv_heads, [&](int64_t piece) {
    const int64_t b = piece / s.kv_heads;
    const int64_t kv = piece % s.kv_heads;
    Word* my_words = words.slot(thread_index());
    T* my_numbers = numbers.slot(thread_index());
    const QueryForms<P> forms(s, my_words, my_numbers);
    T* s_tile = my_numbers + form_numbers;
    T* dp_tile = s_tile + kAttentionTile;
    T* dk_sum = dp_tile + kAttentionTile;
    T* dv_sum = dk_sum + kBlockRows * s.columns;
    Word* tile_words = my_words + form_words;
    const typename BackwardTask<P>::Tiles tiles{
        s_tile, dp_tile, tile_words, tile_words + kAttentionTile,
        P::kNumbers == 1 ? tile_words + kAttentionTile : tile_words + 2 * kAttentionTile};
    for (int64_t g = 0; g < s.group; ++g) {
      for (int64_t i = 0; i < s.query_blocks; ++i) {
        if (!VisibleKeys(mask, s, b, i).any()) continue;
        task.prepare(forms, b, kv * s.group + g, i, g * s.query_blocks + i);
      }
    }
    for (int64_t j = 0; j < blocks_of(s.keys); ++j) {
      std::fill(dk_sum, dk_sum + 2 * kBlockRows * s.columns, T(0));
      for (int64_t g = 0; g < s.group && j < s.key_blocks; ++g) {
        const typename BackwardTask<P>::KeyBlock key{k_transposed.block(b, kv, j),
                                                     v_transposed.block(b, kv, j),
                                                     k_columns.block(b, kv, j), dk_sum, dv_sum};
        for (int64_t i = 0; i < s.query_blocks; ++i) {
          const VisibleKeys visible(mask, s, b, i);
          if (visible.any(j)) task.meet(forms, visible, g * s.query_blocks + i, j, key, tiles);
        }
      }
      task.write(dk, b, kv, j, dk_sum);
      task.write(dv, b, kv, j, dv_sum);
    }
    for (int64_t g = 0; g < s.group; ++g) {
      for (int64_t i = 0; i < s.query_blocks; ++i) {
        if (part == KeyPart::further && !VisibleKeys(mask, s, b, i).any()) continue;
        task.write(dq, b, kv * s.group + g, i,
                   forms.dq + (g * s.query_blocks + i) * kBlockRows * s.columns, part);
      }
    }
  });
}

}  // namespace

void attention_gradient(Stream& stream, View q, View k, View v, double scale,
                        const AttentionMask& mask, View out, View lse, View dout, View dq, View dk,
                        View dv, KeyPart part) {
  switch (q.dtype) {
    case DType::f64:
      return backward_as<AttentionF64>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv,
                                       part);
    case DType::f32:
      return backward_as<AttentionF32>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv,
                                       part);
    default:
      return backward_as<AttentionBF16>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv,
                                        part);
  }
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void attention_gradient(Stream& stream, View q, View k, View v, double scale,
                        const AttentionMask& mask, View out, View lse, View dout, View dq, View dk,
                        View dv, KeyPart part) {
  on_device<cpu::attention_gradient>(stream, q, k, v, scale, mask, out, lse, dout, dq, dk, dv,
                                     part);
}

}  // namespace troupe::kernels
