#include "parallel/cp/ring_attention.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

// A tensor on its way to the next rank, and the one that comes from the rank before.
class Hop {
 public:
  Hop() = default;
  Hop(Tensor sent, Communicator& group, const std::string& site)
      : sent_(std::move(sent)),
        arriving_(Tensor::empty(sent_.shape(), sent_.dtype(), sent_.device(),
                                MemoryKind::communication)) {
    const int before = (group.rank() + group.size() - 1) % group.size();
    const int next = (group.rank() + 1) % group.size();
    receiving_ = group.receive(arriving_.view(), before, site);
    sending_ = group.send(sent_.view(), next, site);
  }
  // Waits for both.
  Tensor take() {
    if (arriving_.defined()) {  // not after the last hop
      receiving_.wait(arriving_.stream());
      sending_.wait(arriving_.stream());
    }
    return std::move(arriving_);
  }

 private:
  Tensor sent_;
  Tensor arriving_;
  Work receiving_;  // after the tensors: what still runs ends before they go
  Work sending_;
};

// Keys and values of one rank as one message: [2, B, n, Hkv, hd].
Tensor pair_like(const Tensor& k, DType dtype) {
  return Tensor::empty({2, k.dim(0), k.dim(1), k.dim(2), k.dim(3)}, dtype, k.device(),
                       MemoryKind::communication);
}
Tensor half(const Tensor& pair, int which) {
  const Shape shape{pair.dim(1), pair.dim(2), pair.dim(3), pair.dim(4)};
  return pair.strided(shape, contiguous_strides(shape), which * shape.elements());
}

Tensor converted(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor out = Tensor::empty(x.shape(), dtype, x.device());
  kernels::copy(x.stream(), x.view(), out.view());
  return out;
}

class Ring {
 public:
  Ring(double scale, std::vector<KeyRange> ranges, Communicator& group, std::string site)
      : scale_(scale), ranges_(std::move(ranges)), group_(&group), site_(std::move(site)) {}

  struct Attended {
    Tensor out;
    Tensor lse;
  };
  Attended attend(const Tensor& q, Tensor pair) const {
    const DType type = wide(q.dtype());
    Attended result{Tensor::empty(q.shape(), type, q.device()),
                    Tensor::empty({q.dim(0), q.dim(2), q.dim(1)}, type, q.device())};
    for (int step = 0; step < group_->size(); ++step) {
      Hop keys = pass_keys(pair, step);
      if (here(step)) {
        kernels::attention(q.stream(), q.view(), half(pair, 0).view(), half(pair, 1).view(), scale_,
                           range(step).mask(), result.out.view(), result.lse.view(), part(step));
      }
      pair = keys.take();
    }
    result.out = converted(result.out, q.dtype());
    return result;
  }

  struct Gradients {
    Tensor q;
    Tensor pair;
  };
  // The sums of a rank's keys visit the ranks behind the keys themselves and come home at the end.
  Gradients gradients(const Tensor& q, Tensor pair, const Attended& attended,
                      const Tensor& dout) const {
    const DType type = wide(q.dtype());
    const Tensor dq = Tensor::empty(q.shape(), type, q.device());
    Hop sums;
    for (int step = 0; step < group_->size(); ++step) {
      Hop keys = pass_keys(pair, step);
      Tensor given;
      if (here(step)) {
        given = pair_like(half(pair, 0), type);
        kernels::attention_gradient(
            q.stream(), q.view(), half(pair, 0).view(), half(pair, 1).view(), scale_,
            range(step).mask(), attended.out.view(), attended.lse.view(), dout.view(), dq.view(),
            half(given, 0).view(), half(given, 1).view(), part(step));
      }
      Tensor sum = step == 0 ? given : sums.take();
      if (step > 0 && given.defined()) {
        kernels::add(q.stream(), sum.view(), given.view(), sum.view());
      }
      sums = Hop(std::move(sum), *group_, site_ + " key gradients");
      pair = keys.take();
    }
    return {converted(dq, q.dtype()), converted(sums.take(), q.dtype())};
  }

 private:
  // At step n the keys of the n-th rank before this one are here.
  const KeyRange& range(int step) const {
    const int size = group_->size();
    return ranges_[static_cast<size_t>((group_->rank() - step + size) % size)];
  }
  bool here(int step) const { return step == 0 || range(step).any; }
  static kernels::KeyPart part(int step) {
    return step == 0 ? kernels::KeyPart::first : kernels::KeyPart::further;
  }
  Hop pass_keys(const Tensor& pair, int step) const {
    return step + 1 < group_->size() ? Hop(pair, *group_, site_ + " keys") : Hop();
  }

  double scale_;
  std::vector<KeyRange> ranges_;
  Communicator* group_;
  std::string site_;
};

}  // namespace

Tensor ring_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                      std::vector<KeyRange> ranges, Communicator& group, const std::string& site) {
  const Operator op("ring_attention", q.stream());
  require(ranges.size() == static_cast<size_t>(group.size()),
          "ring_attention \"{}\": ranges of {} ranks in a group of {}", site, ranges.size(),
          group.size());
  const Tensor query = raw::contiguous(q);
  const Tensor pair = pair_like(k, k.dtype());
  kernels::copy(k.stream(), k.view(), half(pair, 0).view());
  kernels::copy(v.stream(), v.view(), half(pair, 1).view());
  const Ring ring(scale, std::move(ranges), group, site);
  const Ring::Attended attended = ring.attend(query, pair);
  return record(op, attended.out, {q, k, v},
                [ring, query = Saved(query), pair, out = Saved(attended.out), lse = attended.lse](
                    const Tensor& dy, InputGradients& inputs) {
                  const Ring::Gradients d =
                      ring.gradients(query.get("ring_attention"), pair,
                                     {out.get("ring_attention"), lse}, raw::contiguous(dy));
                  inputs.add(0, d.q);
                  inputs.add(1, half(d.pair, 0));
                  inputs.add(2, half(d.pair, 1));
                });
}

}  // namespace troupe
