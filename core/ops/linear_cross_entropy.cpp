#include "core/ops/linear_cross_entropy.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/linear_cross_entropy.h"
#include "core/ops/rows_of.h"

namespace troupe {
namespace {

constexpr const char* kName = "linear_cross_entropy";

void check(const Tensor& x, const Parameter& head, const Tensor& targets, const Tensor& weight) {
  const Shape& shape = head.value().shape();
  require(shape.rank() == 2 && x.rank() == 2 && x.dim(1) == shape[1] && x.dtype() == head.compute(),
          "linear_cross_entropy {}: x of shape {} in {} with a head of shape {} in {}", head.name(),
          x.shape().text(), name(x.dtype()), shape.text(), name(head.compute()));
  require(targets.shape() == Shape{x.dim(0)} && targets.dtype() == DType::i32,
          "linear_cross_entropy: targets of shape {} in {} for {} tokens, wanted i32",
          targets.shape().text(), name(targets.dtype()), x.dim(0));
  require(
      !weight.defined() || (weight.shape() == targets.shape() && weight.dtype() == wide(x.dtype())),
      "linear_cross_entropy: token weights must be {} of shape {}", name(wide(x.dtype())),
      targets.shape().text());
}

double value_at(const Tensor& x, int64_t i) {
  return x.dtype() == DType::f64 ? x.data<double>()[i] : static_cast<double>(x.data<float>()[i]);
}

// scale * weight of each token.
Tensor coefficients(const Tensor& weight, int64_t tokens, DType dtype, double scale,
                    const std::shared_ptr<Device>& device) {
  if (!weight.defined()) return Tensor::full({tokens}, dtype, scale, device);
  const Tensor out = Tensor::empty({tokens}, dtype, device);
  kernels::affine(out.stream(), weight.view(), scale, 0.0, out.view());
  return out;
}

// Nothing of a token that is not counted goes into gradients, whichever part its target is in.
void clear_uncounted(const Tensor& targets, const Tensor& coefficient) {
  const auto* target = targets.data<int32_t>();
  for (int64_t t = 0; t < targets.elements(); ++t) {
    if (target[t] >= 0) continue;
    if (coefficient.dtype() == DType::f64) {
      coefficient.data<double>()[t] = 0.0;
    } else {
      coefficient.data<float>()[t] = 0.0F;
    }
  }
}

Tensor rows(const Tensor& x, int64_t first, int64_t count) {
  Shape shape = x.shape();
  shape[0] = count;
  return x.strided(shape, x.strides(), first * x.strides()[0]);
}

// Gradients for an upstream gradient of 1.
struct Gradients {
  Tensor dx;     // undefined = not wanted
  Tensor dhead;  // wide type
};

// What is known of the tokens under a head that holds a part of the vocabulary.
struct PartTokens {
  Tensor targets;    // as rows of the head; -1 where the target is in another part or not counted
  Tensor logsumexp;  // over the whole vocabulary
  Tensor nll;
};

// Targets as rows of the head's part.
Tensor targets_in_part(const Tensor& targets, const Parameter& head) {
  const auto& parts = head.slice().parts;
  const int64_t first = parts.empty() ? 0 : parts.front().global.offset[0];
  const int64_t count = head.value().dim(0);
  const Tensor out = Tensor::empty(targets.shape(), DType::i32, targets.device());
  const auto* from = targets.data<int32_t>();
  auto* to = out.data<int32_t>();
  for (int64_t t = 0; t < targets.elements(); ++t) {
    const bool here = from[t] >= first && from[t] < first + count;
    to[t] = here ? static_cast<int32_t>(from[t] - first) : -1;
  }
  return out;
}

void subtract_counted(const Tensor& a, const Tensor& b, const Tensor& targets, const Tensor& out) {
  const auto* target = targets.data<int32_t>();
  for (int64_t t = 0; t < out.elements(); ++t) {
    const double value = target[t] < 0 ? 0.0 : value_at(a, t) - value_at(b, t);
    if (out.dtype() == DType::f64) {
      out.data<double>()[t] = value;
    } else {
      out.data<float>()[t] = static_cast<float>(value);
    }
  }
}

PartTokens join_parts(const Tensor& x, Parameter& head, const Tensor& targets,
                      const JoinVocabulary& join) {
  const DType real = wide(x.dtype());
  PartTokens out;
  out.targets = targets_in_part(targets, head);
  out.logsumexp =
      Tensor::full({x.dim(0)}, real, -std::numeric_limits<double>::infinity(), x.device());
  const Tensor wanted = Tensor::zeros({x.dim(0)}, real, x.device());
  if (head.value().dim(0) > 0) {
    kernels::vocabulary_part(x.stream(), x.view(), head.forms().forward(), out.targets.view(),
                             out.logsumexp.view(), wanted.view());
  }
  join(out.logsumexp, wanted);
  out.nll = Tensor::empty({x.dim(0)}, real, x.device());
  subtract_counted(out.logsumexp, wanted, targets, out.nll);
  return out;
}

// logsumexp: of each token where the head is a part of the vocabulary; undefined = it is all.
void run_chunk(const Tensor& x, Parameter& head, const Tensor& targets, const Tensor& coefficient,
               const Tensor& nll, const Tensor& logsumexp, int64_t first, int64_t count,
               const Gradients& gradients) {
  const Tensor part = rows(x, first, count);
  const int64_t filled = kernels::padded_rows(count);
  const int64_t vocabulary = head.value().dim(0);
  const Tensor dlogits = Tensor::empty({filled, vocabulary}, x.dtype(), x.device());
  const Tensor coefficient_part = rows(coefficient, first, count);
  Tensor dx_part;
  kernels::CrossEntropyGradient want;
  want.coefficient = coefficient_part.view();
  want.dlogits = dlogits.view();
  Tensor logsumexp_part;
  if (logsumexp.defined()) {
    logsumexp_part = rows(logsumexp, first, count);
    want.logsumexp = logsumexp_part.view();
  }
  if (gradients.dx.defined()) {
    dx_part = rows(gradients.dx, first, count);
    want.dx = dx_part.view();
    want.head = head.forms().input_gradient();
  }
  kernels::linear_cross_entropy(x.stream(), part.view(), head.forms().forward(),
                                rows(targets, first, count).view(), rows(nll, first, count).view(),
                                want);
  const kernels::RowGroups group{&count, 1};
  if (kernels::weight_gradient_reads_rows(x.dtype())) {
    kernels::grouped_weight_gradient(x.stream(), {dlogits.view()}, {part.view()}, group,
                                     gradients.dhead.view(), first > 0);
    return;
  }
  const Tensor right = Tensor::empty({filled * x.dim(1)}, x.dtype(), x.device());
  kernels::pack_groups(x.stream(), part.view(), group, right.view());
  kernels::packed_weight_gradient(x.stream(), dlogits.view(), right.view(), group,
                                  gradients.dhead.view(), first > 0);
}

Tensor token_losses(const Tensor& x, Parameter& head, const Tensor& targets) {
  const Tensor nll = Tensor::empty({x.dim(0)}, wide(x.dtype()), x.device());
  kernels::linear_cross_entropy(nll.stream(), x.view(), head.forms().forward(), targets.view(),
                                nll.view(), {});
  return nll;
}

Tensor weighted_sum(const Tensor& nll, const Tensor& targets, const Tensor& coefficient) {
  const auto* target = targets.data<int32_t>();
  double total = 0;
  for (int64_t t = 0; t < nll.elements(); ++t) {
    if (target[t] >= 0) total += value_at(coefficient, t) * value_at(nll, t);
  }
  return Tensor::full({}, nll.dtype(), total, nll.device());
}

// gradient * factor; the gradient itself when the factor is 1, as it nearly always is.
Tensor scaled(const Tensor& gradient, double factor) {
  if (factor == 1.0) return gradient;
  const Tensor out = Tensor::empty(gradient.shape(), gradient.dtype(), gradient.device());
  kernels::affine(out.stream(), gradient.view(), factor, 0.0, out.view());
  return out;
}

}  // namespace

int64_t cross_entropy_chunk(int64_t vocabulary, DType compute) {
  constexpr int64_t bytes = 32 << 20;
  const int64_t rows =
      bytes / std::max<int64_t>(vocabulary * static_cast<int64_t>(size_of(compute)), 1);
  return std::clamp<int64_t>(rows / 128 * 128, 512, 1024);
}

Tensor linear_cross_entropy(const Tensor& x, Parameter& head, const Tensor& targets, double scale,
                            const Tensor& weight, const JoinVocabulary& join) {
  const Operator op(kName, x.stream());
  check(x, head, targets, weight);
  head.use();
  const Tensor inputs = rows_of(x);
  const int64_t tokens = x.dim(0);
  const DType real = wide(x.dtype());
  const Tensor coefficient = coefficients(weight, tokens, real, scale, x.device());
  PartTokens part;
  if (join) {
    part = join_parts(inputs, head, targets, join);
    clear_uncounted(targets, coefficient);
  }
  if (!grad_enabled()) {
    return weighted_sum(join ? part.nll : token_losses(inputs, head, targets), targets,
                        coefficient);
  }
  const Tensor nll = Tensor::empty({tokens}, real, x.device());
  auto gradients = std::make_shared<Gradients>();
  if (x.needs_gradient()) gradients->dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  gradients->dhead = Tensor::empty(head.value().shape(), real, x.device());
  const int64_t vocabulary = head.value().dim(0);
  const int64_t step = cross_entropy_chunk(vocabulary, x.dtype());
  if (vocabulary == 0) {  // a part without words
    if (gradients->dx.defined())
      kernels::affine(x.stream(), x.view(), 0.0, 0.0, gradients->dx.view());
  } else {
    int64_t first = 0;
    do {  // without tokens once: the head's gradient is zeros then
      run_chunk(inputs, head, join ? part.targets : targets, coefficient, nll, part.logsumexp,
                first, std::min(step, tokens - first), *gradients);
      first += step;
    } while (first < tokens);
  }
  return record(
      op, weighted_sum(join ? part.nll : nll, targets, coefficient), {x},
      [gradients](const Tensor& gradient, InputGradients& to) {
        if (to.needs(0)) to.add(0, scaled(gradients->dx, gradient.item()));
        gradients->dx = {};
      },
      [gradients, &head](const Tensor& gradient) {
        head.accumulate(scaled(gradients->dhead, gradient.item()));
        gradients->dhead = {};
      });
}

Tensor token_nll(const Tensor& x, Parameter& head, const Tensor& targets,
                 const JoinVocabulary& join) {
  const Operator op("token_nll", x.stream());
  check(x, head, targets, {});
  if (join) return join_parts(rows_of(x), head, targets, join).nll;
  return token_losses(rows_of(x), head, targets);
}

}  // namespace troupe
