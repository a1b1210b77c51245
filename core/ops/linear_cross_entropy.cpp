#include "core/ops/linear_cross_entropy.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/linear_cross_entropy.h"
#include "core/kernels/rows.h"
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

// scale * weight of each token.
Tensor coefficients(const Tensor& weight, int64_t tokens, DType dtype, double scale,
                    const std::shared_ptr<Device>& device) {
  if (!weight.defined()) return Tensor::full({tokens}, dtype, scale, device);
  const Tensor out = Tensor::empty({tokens}, dtype, device);
  kernels::affine(out.stream(), weight.view(), scale, 0.0, out.view());
  return out;
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
  kernels::rows_in_part(out.stream(), targets.view(), first, count, out.view());
  return out;
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
  kernels::subtract_counted(x.stream(), out.logsumexp.view(), wanted.view(), targets.view(),
                            out.nll.view());
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
  Tensor out = Tensor::empty({}, nll.dtype(), nll.device());
  kernels::weighted_sum(out.stream(), nll.view(), targets.view(), coefficient.view(), out.view());
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
    kernels::clear_uncounted(x.stream(), targets.view(), coefficient.view());
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
        if (to.needs(0)) {
          kernels::scale_by(gradient.stream(), gradient.view(), gradients->dx.view());
          to.add(0, gradients->dx);
        }
        gradients->dx = {};
      },
      [gradients, &head](const Tensor& gradient) {
        kernels::scale_by(gradient.stream(), gradient.view(), gradients->dhead.view());
        head.accumulate(gradients->dhead);
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
