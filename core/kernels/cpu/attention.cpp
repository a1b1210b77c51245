// Blocked attention after Dao et al. 2022, FlashAttention: one task per (query block, head), a
// running softmax over key blocks; a further part of the keys joins by the log-sum-exp.
#include "core/kernels/attention.h"

#include <cmath>

#include "core/kernels/cpu/attention_sizes.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

template <typename P>
struct ForwardTask {
  using T = typename P::T;
  using Word = typename P::Word;
  const AttentionSizes& s;
  T scale;
  const PackedKeys<P>& keys;
  const PackedKeys<P>& values;
  Scratch<Word> words;  // per thread: query rows | probabilities
  Scratch<T> numbers;   // per thread: scores | output | running max | running sum

  ForwardTask(Stream& stream, const AttentionSizes& sizes, double factor, const PackedKeys<P>& k,
              const PackedKeys<P>& v)
      : s(sizes),
        scale(static_cast<T>(factor)),
        keys(k),
        values(v),
        words(stream, stream.threads, kBlockRows * sizes.words + kAttentionTile),
        numbers(stream, stream.threads, kAttentionTile + kBlockRows * (sizes.columns + 2)) {}

  void operator()(const View& q, const AttentionMask& mask, int64_t b, int64_t head, int64_t block,
                  const View& out, const View& lse, KeyPart part) const {
    const VisibleKeys visible(mask, s, b, block);
    if (part == KeyPart::further && !visible.any()) return;
    Word* q_rows = words.slot(thread_index());
    Word* p = q_rows + kBlockRows * s.words;
    T* scores = numbers.slot(thread_index());
    T* o = scores + kAttentionTile;
    T* m = o + kBlockRows * s.columns;
    T* l = m + kBlockRows;
    pack_rows<P>(head_rows<typename P::In>(q, b, head, block), s.words, q_rows);
    std::fill(o, m, T(0));
    std::fill(m, l, -std::numeric_limits<T>::infinity());
    std::fill(l, l + kBlockRows, T(0));
    const int64_t kv = head / s.group;
    for (int64_t j = visible.first_block(); j < visible.end_block(); ++j) {
      run(BlockProduct<Word, T>{kBlockRows, kBlockRows, s.words, q_rows, s.words, 1,
                                keys.block(b, kv, j), kBlockRows, scores, kBlockRows, false});
      visible.hide(j, scores);
      run(ForwardSoftmax<Word, T>{scores, scale, m, l, o, s.columns, p});
      run(BlockProduct<Word, T>{kBlockRows, s.columns, s.block_words, p, s.block_words, 1,
                                values.block(b, kv, j), s.columns, o, s.columns, true});
    }
    const int64_t first = block * kBlockRows;
    for (int64_t r = 0; r < std::min(kBlockRows, s.queries - first); ++r) {
      const int64_t at = ((b * s.queries + first + r) * s.heads + head) * s.head_dim;
      T* row_lse = lse.as<T>() + (b * s.heads + head) * s.queries + first + r;
      if (part == KeyPart::further) {
        join(o + r * s.columns, m[r], l[r], out.as<T>() + at, *row_lse);
      } else {
        finish(o + r * s.columns, m[r], l[r], out, at, *row_lse);
      }
    }
  }

  void finish(T* o, T m, T l, const View& out, int64_t at, T& lse) const {
    const bool empty = l == T(0);
    vec::scale(empty ? T(0) : T(1) / l, o, o, s.head_dim);
    write_row<T>(out, at, s.head_dim, o);
    lse = empty ? std::numeric_limits<T>::infinity() : m + std::log(l);
  }

  // The mean over all keys from the means over two parts, each weighed by its sum of exponentials.
  void join(const T* o, T m, T l, T* out, T& lse) const {
    if (l == T(0)) return;
    const T here = m + std::log(l);
    const bool alone = lse == std::numeric_limits<T>::infinity();
    const T top = alone ? here : std::max(here, lse);
    const T earlier = alone ? T(0) : std::exp(lse - top);
    const T further = std::exp(here - top);
    const T total = earlier + further;
    vec::scale(earlier / total, out, out, s.head_dim);
    vec::axpy(further / (total * l), o, out, s.head_dim);
    lse = top + std::log(total);
  }
};

template <typename P>
void forward_as(Stream& stream, const View& q, const View& k, const View& v, double scale,
                const AttentionMask& mask, const View& out, const View& lse, KeyPart part) {
  const AttentionSizes s = sizes_of<P>(q, k, mask);
  if (q.elements() == 0) return;
  using Form = typename PackedKeys<P>::Form;
  const PackedKeys<P> keys(stream, k, s, Form::transposed);
  const PackedKeys<P> values(stream, v, s, Form::columns);
  const ForwardTask<P> task(stream, s, scale, keys, values);
  const int64_t heads = s.batch * s.heads;
  parallel_for(stream, heads * s.query_blocks, [&](int64_t piece) {
    const int64_t block = s.query_blocks - 1 - piece / heads;  // the last sees most keys
    task(q, mask, piece % heads / s.heads, piece % s.heads, block, out, lse, part);
  });
}

}  // namespace

void attention(Stream& stream, View q, View k, View v, double scale, const AttentionMask& mask,
               View out, View lse, KeyPart part) {
  switch (q.dtype) {
    case DType::f64:
      return forward_as<AttentionF64>(stream, q, k, v, scale, mask, out, lse, part);
    case DType::f32:
      return forward_as<AttentionF32>(stream, q, k, v, scale, mask, out, lse, part);
    default:
      return forward_as<AttentionBF16>(stream, q, k, v, scale, mask, out, lse, part);
  }
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void attention(Stream& stream, View q, View k, View v, double scale, const AttentionMask& mask,
               View out, View lse, KeyPart part) {
  on_device<cpu::attention>(stream, q, k, v, scale, mask, out, lse, part);
}

}  // namespace troupe::kernels
