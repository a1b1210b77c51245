#include "core/ops/weight_gradient.h"

#include "core/kernels/grouped_gemm.h"

namespace troupe {

void add_weight_gradient(const Tensor& gradient, const Tensor& x,
                         std::span<const int64_t> rows_per_expert, Parameter& weight) {
  const kernels::RowGroups groups{rows_per_expert.data(),
                                  static_cast<int64_t>(rows_per_expert.size())};
  if (kernels::weight_gradient_reads_rows(x.dtype())) {
    bool fresh = false;
    const Tensor& target = weight.begin_accumulate(fresh);
    kernels::grouped_weight_gradient(x.stream(), {gradient.view()}, {x.view()}, groups,
                                     target.view(), !fresh);
    return weight.end_accumulate();
  }
  const int64_t rows = groups.padded_total();
  const Tensor left = Tensor::empty({rows * gradient.dim(1)}, gradient.dtype(), gradient.device());
  const Tensor right = Tensor::empty({rows * x.dim(1)}, x.dtype(), x.device());
  kernels::transpose_groups(x.stream(), gradient.view(), groups, left.view());
  kernels::pack_groups(x.stream(), x.view(), groups, right.view());
  bool fresh = false;
  const Tensor& target = weight.begin_accumulate(fresh);
  kernels::packed_weight_gradient(x.stream(), left.view(), right.view(), groups, target.view(),
                                  !fresh);
  weight.end_accumulate();
}

}  // namespace troupe
