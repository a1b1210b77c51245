#include "core/kernels/linear_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/pack.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/row_pieces.h"
#include "core/kernels/cpu/thread_scratch.h"
#include "core/kernels/cpu/vector.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {

void affine(Stream& stream, View in, double factor, double offset, View out);  // elementwise.cpp

namespace {

// f(a zero of the type); f32 or f64.
template <typename F>
void by_precision(const View& x, F&& f) {
  if (x.dtype == DType::f64) return f(double{});
  f(float{});
}

constexpr int64_t kVocabularyTile = 512;

// Real: the wide type; Stored: the compute type.
template <typename Real>
void store_row(const Real* from, Real* to, int64_t count) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(Real));
}
void store_row(const float* from, BF16* to, int64_t count) { vec::to_bf16(from, to, count); }

template <typename Real>
void scale_row(Real factor, Real* row, int64_t count, Real* /*buffer*/) {
  vec::scale(factor, row, row, count);
}
void scale_row(float factor, BF16* row, int64_t count, float* buffer) {
  vec::to_f32(row, buffer, count);
  vec::scale(factor, buffer, buffer, count);
  vec::to_bf16(buffer, row, count);
}

// A block of tokens walks over the vocabulary tile by tile with a running maximum and sum per row
// (Milakov and Gimelshein 2018, arXiv:1805.02867). exp(logit - running maximum) is kept in the
// compute type and scaled once at the end: no second exp.
template <typename Real, typename Stored>
class Block {
 public:
  Block(Device& device, const View& x, const WeightOperand& head, const View& targets,
        const View& nll, const CrossEntropyGradient& gradient, int64_t first, int64_t rows)
      : device_(device),
        x_(x),
        head_(head),
        targets_(static_cast<const int32_t*>(targets.data) + first),
        nll_(static_cast<Real*>(nll.data) + first),
        gradient_(gradient),
        first_(first),
        rows_(rows),
        m_(product_rows(rows)),
        tiles_((head.n + kVocabularyTile - 1) / kVocabularyTile),
        keep_(gradient.coefficient.data != nullptr),
        in_place_(own_products(DTypeOf<Stored>::value)),
        scratch_(device,
                 cross_entropy_scratch(rows, head.n, head.k, DTypeOf<Stored>::value, keep_)) {}

  void run() {
    const std::byte* x = input();
    logits_ = scratch_.template take<Real>(m_ * kVocabularyTile);
    shifts_ = scratch_.template take<Real>(rows_ * tiles_);
    maximum_ = scratch_.template take<Real>(rows_);
    sum_ = scratch_.template take<Real>(rows_);
    wanted_ = scratch_.template take<Real>(rows_);
    if (keep_) {
      kept_ = in_place_ ? static_cast<Stored*>(gradient_.dlogits.data) + first_ * head_.n
                        : scratch_.template take<Stored>(m_ * head_.n);
    }
    std::fill_n(maximum_, rows_, -std::numeric_limits<Real>::infinity());
    std::fill_n(sum_, rows_, Real(0));
    std::fill_n(wanted_, rows_, Real(0));
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      const int64_t column = tile * kVocabularyTile;
      const int64_t columns = std::min(kVocabularyTile, head_.n - column);
      cpu::run(weight_product(device_, head_, m_, columns, DTypeOf<Real>::value), x,
               head_.columns(0, column), logits_);
      for (int64_t r = 0; r < rows_; ++r) add_tile(r, tile, column, columns);
    }
    if (keep_ && gradient_.logsumexp.data != nullptr) return write_gradients();
    for (int64_t r = 0; r < rows_; ++r) {
      nll_[r] = targets_[r] < 0 ? Real(0) : std::log(sum_[r]) + maximum_[r] - wanted_[r];
    }
    if (keep_) write_gradients();
  }
  // The log-sum-exp and the target's logit of each row, instead of nll.
  void put_part(Real* logsumexp, Real* wanted) const {
    for (int64_t r = 0; r < rows_; ++r) {
      logsumexp[first_ + r] = std::log(sum_[r]) + maximum_[r];
      wanted[first_ + r] = wanted_[r];
    }
  }

 private:
  const std::byte* input() {
    const auto* from = static_cast<const Stored*>(x_.data) + first_ * x_.strides[0];
    if (m_ == rows_ && x_.strides[0] == head_.k) return reinterpret_cast<const std::byte*>(from);
    auto* to = scratch_.template take<Stored>(m_ * head_.k);
    copy_rows(from, x_.strides[0], rows_, m_, head_.k, sizeof(Stored), to, head_.k);
    return reinterpret_cast<const std::byte*>(to);
  }

  void add_tile(int64_t r, int64_t tile, int64_t column, int64_t columns) {
    Real* logits = logits_ + r * columns;
    const int64_t target = targets_[r] - column;
    if (target >= 0 && target < columns) wanted_[r] = logits[target];
    const Real before = maximum_[r];
    const Real now = std::max(before, vec::max(logits, columns));
    const Real tile_sum = vec::exp_shifted(logits, now, logits, columns);
    const Real kept = before == now ? Real(1) : std::exp(before - now);
    sum_[r] = sum_[r] * kept + tile_sum;
    maximum_[r] = now;
    shifts_[r * tiles_ + tile] = now;
    if (keep_) store_row(logits, kept_ + r * head_.n + column, columns);
  }

  // dlogits = coefficient (softmax - one at the target).
  void finish_row(int64_t r) {
    Stored* row = kept_ + r * head_.n;
    const Real coefficient = static_cast<const Real*>(gradient_.coefficient.data)[first_ + r];
    const bool part = gradient_.logsumexp.data != nullptr;
    if ((targets_[r] < 0 && !part) || coefficient == Real(0)) {
      std::memset(static_cast<void*>(row), 0, static_cast<size_t>(head_.n) * sizeof(Stored));
      return;
    }
    const Real whole =
        part ? static_cast<const Real*>(gradient_.logsumexp.data)[first_ + r] : Real(0);
    const Real inverse = part ? coefficient * std::exp(maximum_[r] - whole) : coefficient / sum_[r];
    for (int64_t tile = 0; tile < tiles_; ++tile) {
      const int64_t column = tile * kVocabularyTile;
      const int64_t columns = std::min(kVocabularyTile, head_.n - column);
      const Real shift = shifts_[r * tiles_ + tile];
      const Real factor = shift == maximum_[r] ? inverse : inverse * std::exp(shift - maximum_[r]);
      scale_row(factor, row + column, columns, logits_);
    }
    if (targets_[r] < 0) return;
    const Real probability = std::exp(part ? wanted_[r] - whole : -nll_[r]);
    row[targets_[r]] = Stored(coefficient * (probability - Real(1)));
  }

  void write_gradients() {
    for (int64_t r = 0; r < rows_; ++r) finish_row(r);
    for (int64_t r = rows_; r < m_; ++r) {
      std::memset(static_cast<void*>(kept_ + r * head_.n), 0,
                  static_cast<size_t>(head_.n) * sizeof(Stored));
    }
    if (!in_place_) {
      transpose_block({kept_, DTypeOf<Stored>::value, head_.n, rows_, padded_rows(rows_), head_.n},
                      static_cast<Stored*>(gradient_.dlogits.data) + first_,
                      padded_rows(x_.shape[0]));
    }
    if (gradient_.dx.data == nullptr) return;
    const View& dx = gradient_.dx;
    const int64_t d = head_.k;
    auto* to = static_cast<Stored*>(dx.data) + first_ * dx.strides[0];
    const bool direct = m_ == rows_ && dx.strides[0] == d;
    auto* result = direct ? to : scratch_.template take<Stored>(m_ * d);
    cpu::run(weight_product(device_, gradient_.head, m_, d, DTypeOf<Stored>::value), kept_,
             gradient_.head.expert(0), result);
    if (!direct) copy_rows(result, d, rows_, rows_, d, sizeof(Stored), to, dx.strides[0]);
  }

  Device& device_;
  const View& x_;
  const WeightOperand& head_;
  const int32_t* targets_;
  Real* nll_;
  const CrossEntropyGradient& gradient_;
  int64_t first_;
  int64_t rows_;
  int64_t m_;
  int64_t tiles_;
  bool keep_;
  bool in_place_;  // dlogits are made where they are wanted
  ThreadScratch scratch_;
  Real* logits_ = nullptr;
  Real* shifts_ = nullptr;  // [rows, tiles]: the maximum that a tile's exponentials were taken with
  Real* maximum_ = nullptr;
  Real* sum_ = nullptr;
  Real* wanted_ = nullptr;  // the target's logit
  Stored* kept_ = nullptr;  // [m, V]
};

// part: gets the log-sum-exp and the target's logit of each row; null = nll is wanted.
template <typename Real, typename Stored>
void run_blocks(Stream& stream, const View& x, const WeightOperand& head, const View& targets,
                const View& nll, const CrossEntropyGradient& gradient, const View* part = nullptr) {
  const int64_t rows = x.shape[0];
  const int64_t step = cross_entropy_block(rows);
  parallel_for(stream, (rows + step - 1) / step, [&](int64_t piece) {
    const int64_t first = piece * step;
    Block<Real, Stored> block(*stream.device, x, head, targets, nll, gradient, first,
                              std::min(step, rows - first));
    block.run();
    if (part != nullptr) {
      block.put_part(static_cast<Real*>(nll.data), static_cast<Real*>(part->data));
    }
  });
}

void check_targets(const View& targets, int64_t vocabulary) {
  const auto* target = targets.as<int32_t>();
  for (int64_t t = 0; t < targets.elements(); ++t) {
    require(target[t] < vocabulary, "target {} of token {} is beyond the vocabulary of {}",
            target[t], t, vocabulary);
  }
}

}  // namespace

void linear_cross_entropy(Stream& stream, View x, const WeightOperand& head, View targets, View nll,
                          const CrossEntropyGradient& gradient) {
  require(head.n > 0 && x.shape.rank() == 2 && x.shape[1] == head.k && x.dtype == head.dtype &&
              targets.elements() == x.shape[0] && nll.elements() == x.shape[0] &&
              nll.dtype == wide(x.dtype) && targets.contiguous() && nll.contiguous(),
          "cross-entropy of {} in {} with a head [{}, {}] and {} targets", x.shape.text(),
          name(x.dtype), head.n, head.k, targets.elements());
  check_targets(targets, head.n);
  switch (x.dtype) {
    case DType::f64:
      return run_blocks<double, double>(stream, x, head, targets, nll, gradient);
    case DType::f32:
      return run_blocks<float, float>(stream, x, head, targets, nll, gradient);
    default:
      return run_blocks<float, BF16>(stream, x, head, targets, nll, gradient);
  }
}

void vocabulary_part(Stream& stream, View x, const WeightOperand& head, View targets,
                     View logsumexp, View wanted) {
  check_targets(targets, head.n);
  switch (x.dtype) {
    case DType::f64:
      return run_blocks<double, double>(stream, x, head, targets, logsumexp, {}, &wanted);
    case DType::f32:
      return run_blocks<float, float>(stream, x, head, targets, logsumexp, {}, &wanted);
    default:
      return run_blocks<float, BF16>(stream, x, head, targets, logsumexp, {}, &wanted);
  }
}

void join_vocabulary(Stream& /*stream*/, View gathered, View logsumexp, View wanted) {
  const int64_t tokens = logsumexp.elements();
  const int64_t ranks = gathered.dim(0);
  by_precision(logsumexp, [&](auto zero) {
    using T = decltype(zero);
    const T* parts = gathered.as<T>();
    for (int64_t t = 0; t < tokens; ++t) {
      T largest = -std::numeric_limits<T>::infinity();
      for (int64_t r = 0; r < ranks; ++r) largest = std::max(largest, parts[2 * r * tokens + t]);
      T sum = 0;
      T target = 0;
      for (int64_t r = 0; r < ranks; ++r) {
        sum += std::exp(parts[2 * r * tokens + t] - largest);
        target += parts[(2 * r + 1) * tokens + t];
      }
      logsumexp.as<T>()[t] = largest + std::log(sum);
      wanted.as<T>()[t] = target;
    }
  });
}

void clear_uncounted(Stream& /*stream*/, View targets, View coefficient) {
  by_precision(coefficient, [&](auto zero) {
    for (int64_t t = 0; t < targets.elements(); ++t) {
      if (targets.as<int32_t>()[t] < 0) coefficient.as<decltype(zero)>()[t] = 0;
    }
  });
}

void subtract_counted(Stream& /*stream*/, View a, View b, View targets, View out) {
  by_precision(out, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t t = 0; t < out.elements(); ++t) {
      const bool counted = targets.as<int32_t>()[t] >= 0;
      const double value = static_cast<double>(a.as<T>()[t]) - static_cast<double>(b.as<T>()[t]);
      out.as<T>()[t] = static_cast<T>(counted ? value : 0.0);
    }
  });
}

void weighted_sum(Stream& /*stream*/, View nll, View targets, View coefficient, View out) {
  by_precision(nll, [&](auto zero) {
    using T = decltype(zero);
    double total = 0;
    for (int64_t t = 0; t < nll.elements(); ++t) {
      if (targets.as<int32_t>()[t] < 0) continue;
      total += static_cast<double>(coefficient.as<T>()[t]) * static_cast<double>(nll.as<T>()[t]);
    }
    *out.as<T>() = static_cast<T>(total);
  });
}

void scale_by(Stream& stream, View factor, View x) {
  by_precision(factor, [&](auto zero) {
    const auto by = static_cast<double>(*factor.as<decltype(zero)>());
    if (by != 1.0) cpu::affine(stream, x, by, 0.0, x);
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

int64_t cross_entropy_block(int64_t rows) {
  return rows >= 8 * kRowBlock ? kRowBlock : kRowBlock / 2;
}

int64_t cross_entropy_scratch(int64_t rows, int64_t vocabulary, int64_t dim, DType compute,
                              bool gradients) {
  const auto real = static_cast<int64_t>(size_of(wide(compute)));
  const auto stored = static_cast<int64_t>(size_of(compute));
  const int64_t m = cpu::product_rows(rows);
  const int64_t tiles = (vocabulary + cpu::kVocabularyTile - 1) / cpu::kVocabularyTile;
  const bool copies =
      gradients && !cpu::own_products(compute);  // own code writes where it is wanted
  return m * cpu::kVocabularyTile * real + rows * (tiles + 3) * real + m * dim * stored * 2 +
         (copies ? m * vocabulary * stored : 0) + 8 * 64;
}

void linear_cross_entropy(Stream& stream, View x, const WeightOperand& head, View targets, View nll,
                          const CrossEntropyGradient& gradient) {
  on_device<cpu::linear_cross_entropy>(stream, x, head, targets, nll, gradient);
}

void vocabulary_part(Stream& stream, View x, const WeightOperand& head, View targets,
                     View logsumexp, View wanted) {
  on_device<cpu::vocabulary_part>(stream, x, head, targets, logsumexp, wanted);
}

void join_vocabulary(Stream& stream, View gathered, View logsumexp, View wanted) {
  on_device<cpu::join_vocabulary>(stream, gathered, logsumexp, wanted);
}

void clear_uncounted(Stream& stream, View targets, View coefficient) {
  on_device<cpu::clear_uncounted>(stream, targets, coefficient);
}

void subtract_counted(Stream& stream, View a, View b, View targets, View out) {
  on_device<cpu::subtract_counted>(stream, a, b, targets, out);
}

void weighted_sum(Stream& stream, View nll, View targets, View coefficient, View out) {
  on_device<cpu::weighted_sum>(stream, nll, targets, coefficient, out);
}

void scale_by(Stream& stream, View factor, View x) { on_device<cpu::scale_by>(stream, factor, x); }

}  // namespace troupe::kernels
