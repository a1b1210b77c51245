#include "parallel/cp/all_to_all_attention.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/ops/raw.h"
#include "parallel/cp/head_exchange.h"

namespace troupe {
namespace {

// The gradients of a rank's heads of q, k and v as one tensor like x.
Tensor packed_gradients(const HeadSplit& split, const Tensor& x, const Tensor& out,
                        const Tensor& lse, const Tensor& dout, double scale,
                        const KeyRange& range) {
  Tensor packed = Tensor::empty(x.shape(), x.dtype(), x.device(), MemoryKind::communication);
  std::array<Tensor, 3> gradients;
  for (int i = 0; i < 3; ++i) {
    gradients[static_cast<size_t>(i)] =
        Tensor::empty(split.part(x, i).shape(), x.dtype(), x.device());
  }
  const auto& [dq, dk, dv] = gradients;
  kernels::attention_gradient(x.stream(), split.part(x, 0).view(), split.part(x, 1).view(),
                              split.part(x, 2).view(), scale, range.mask(), out.view(), lse.view(),
                              dout.view(), dq.view(), dk.view(), dv.view());
  for (int i = 0; i < 3; ++i) {
    kernels::copy(x.stream(), gradients[static_cast<size_t>(i)].view(),
                  split.part(packed, i).view());
  }
  return packed;
}

}  // namespace

Tensor all_to_all_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                            const KeyRange& range, Communicator& group, const std::string& site) {
  const Operator op("all_to_all_attention", q.stream());
  const HeadSplit split(q.dim(2), k.dim(2), group.size());
  // [B, S, width, hd]
  const Tensor x = heads_for_positions(split.pack(q, k, v), group, site + " heads");
  const Tensor out = Tensor::empty(split.part(x, 0).shape(), x.dtype(), x.device());
  const Tensor lse =
      Tensor::empty({x.dim(0), split.query_heads(), x.dim(1)}, wide(x.dtype()), x.device());
  kernels::attention(x.stream(), split.part(x, 0).view(), split.part(x, 1).view(),
                     split.part(x, 2).view(), scale, range.mask(), out.view(), lse.view());
  return record(
      op, positions_for_heads(out, group, site + " positions"), {q, k, v},
      [split, x, out, lse, scale, range, &group, site](const Tensor& dy, InputGradients& inputs) {
        const Tensor dout =
            heads_for_positions(raw::contiguous(dy), group, site + " positions gradient");
        const Tensor dx = packed_gradients(split, x, out, lse, dout, scale, range);
        const HeadSplit::Unpacked d =
            split.unpack_gradient(positions_for_heads(dx, group, site + " heads gradient"));
        inputs.add(0, d.q);
        inputs.add(1, d.k);
        inputs.add(2, d.v);
      });
}

}  // namespace troupe
