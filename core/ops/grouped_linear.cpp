#include "core/ops/grouped_linear.h"

#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/grouped_gemm.h"
#include "core/ops/rows_of.h"
#include "core/ops/weight_gradient.h"

namespace troupe {
namespace {

using Counts = std::vector<int64_t>;

kernels::RowGroups groups(const Counts& counts) {
  return {counts.data(), static_cast<int64_t>(counts.size())};
}

Tensor bank_product(const Tensor& rows, const Counts& counts, const WeightOperand& weight) {
  Tensor out = Tensor::empty({rows.dim(0), weight.n}, rows.dtype(), rows.device());
  kernels::grouped_gemm(out.stream(), rows.view(), groups(counts), weight, out.view());
  return out;
}

}  // namespace

Tensor grouped_linear(const Tensor& x, std::span<const int64_t> rows_per_expert, Parameter& bank) {
  const Operator op("grouped_linear", x.stream());
  const Shape& shape = bank.value().shape();
  const auto experts = static_cast<int64_t>(rows_per_expert.size());
  require((shape.rank() == 3 && shape[0] == experts) || (shape.rank() == 2 && experts == 1),
          "grouped_linear {}: counts for {} experts, weights of shape {}", bank.name(), experts,
          shape.text());
  const int64_t total = std::accumulate(rows_per_expert.begin(), rows_per_expert.end(), int64_t{0});
  require(
      x.rank() == 2 && x.dim(0) == total && x.dim(1) == shape[-1] && x.dtype() == bank.compute(),
      "grouped_linear {}: x of shape {} in {} for {} rows of {} in {}", bank.name(),
      x.shape().text(), name(x.dtype()), total, shape[-1], name(bank.compute()));
  bank.use();
  Counts counts(rows_per_expert.begin(), rows_per_expert.end());
  const Tensor rows = rows_of(x);
  return record(
      op, bank_product(rows, counts, bank.forms().forward()), {x},
      [counts, &bank](const Tensor& gradient, InputGradients& inputs) {
        if (!inputs.needs(0)) return;
        inputs.add(0, bank_product(rows_of(gradient), counts, bank.forms().input_gradient()));
      },
      [saved = Saved(rows), counts, &bank](const Tensor& gradient) {
        add_weight_gradient(rows_of(gradient), saved.get("grouped_linear"), counts, bank);
      });
}

}  // namespace troupe
