#include "core/ops/view.h"

#include <utility>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/ops/raw.h"

namespace troupe {
Tensor reshape(const Tensor& x, const Shape& shape) {
  const Operator op("reshape", x.stream());
  require(shape.elements() == x.elements(), "reshape of {} to {}", x.shape().text(), shape.text());
  return record(op, raw::with_shape(raw::contiguous(x), shape), {x},
                [from = x.shape()](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, raw::with_shape(raw::contiguous(dy), from));
                });
}

Tensor transpose(const Tensor& x, int dim_a, int dim_b) {
  const Operator op("transpose", x.stream());
  const int a = raw::checked_dim(op, x, dim_a);
  const int b = raw::checked_dim(op, x, dim_b);
  const auto swapped = [a, b](const Tensor& t) {
    Shape shape = t.shape();
    Shape strides = t.strides();
    std::swap(shape[a], shape[b]);
    std::swap(strides[a], strides[b]);
    return t.strided(shape, strides, 0);
  };
  return record(op, swapped(x), {x}, [swapped](const Tensor& dy, InputGradients& inputs) {
    inputs.add(0, swapped(dy));
  });
}

Tensor narrow(const Tensor& x, int dim, int64_t start, int64_t size) {
  const Operator op("narrow", x.stream());
  const int d = raw::checked_dim(op, x, dim);
  require(start >= 0 && size >= 0 && start + size <= x.dim(d), "narrow: [{}, {}) of dim {} of {}",
          start, start + size, d, x.shape().text());
  Shape shape = x.shape();
  shape[d] = size;
  const int64_t offset = size == 0 ? 0 : start * x.strides()[d];
  return record(op, x.strided(shape, x.strides(), offset), {x},
                [full = x.shape(), shape, d, start](const Tensor& dy, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(full, dy.dtype(), dy.device());
                  const int64_t at = dy.elements() == 0 ? 0 : start * dx.strides()[d];
                  kernels::copy(dy.stream(), dy.view(), dx.strided(shape, dx.strides(), at).view());
                  inputs.add(0, dx);
                });
}

Tensor expand(const Tensor& x, const Shape& shape) {
  const Operator op("expand", x.stream());
  return record(op, raw::broadcast_to(x, shape), {x},
                [from = x.shape()](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, raw::sum_to(dy, from));
                });
}

Tensor contiguous(const Tensor& x) {
  if (x.contiguous()) return x;
  const Operator op("contiguous", x.stream());
  return record(op, raw::contiguous(x), {x},
                [](const Tensor& dy, InputGradients& inputs) { inputs.add(0, dy); });
}

Tensor concat(std::span<const Tensor> parts, int dim) {
  require(!parts.empty(), "concat of nothing");
  const Operator op("concat", parts[0].stream());
  const int d = raw::checked_dim(op, parts[0], dim);
  Shape shape = parts[0].shape();
  shape[d] = 0;
  for (const Tensor& part : parts) {
    require(part.rank() == shape.rank() && part.dtype() == parts[0].dtype(),
            "concat of {} {} and {} {}", name(parts[0].dtype()), parts[0].shape().text(),
            name(part.dtype()), part.shape().text());
    shape[d] += part.dim(d);
  }
  Tensor out = Tensor::empty(shape, parts[0].dtype(), parts[0].device());
  std::vector<int64_t> sizes;
  int64_t start = 0;
  for (const Tensor& part : parts) {
    Shape piece = shape;
    piece[d] = part.dim(d);
    require(piece == part.shape(), "concat along dim {} of {} and {}", d, parts[0].shape().text(),
            part.shape().text());
    if (part.elements() > 0) {
      const Tensor target = out.strided(piece, out.strides(), start * out.strides()[d]);
      kernels::copy(out.stream(), part.view(), target.view());
    }
    sizes.push_back(part.dim(d));
    start += part.dim(d);
  }
  return record(op, out, parts, [d, sizes](const Tensor& dy, InputGradients& inputs) {
    int64_t at = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      Shape piece = dy.shape();
      piece[d] = sizes[i];
      if (inputs.needs(static_cast<int>(i))) {
        const int64_t offset = sizes[i] == 0 ? 0 : at * dy.strides()[d];
        inputs.add(static_cast<int>(i), dy.strided(piece, dy.strides(), offset));
      }
      at += sizes[i];
    }
  });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const Operator op("cast", x.stream());
  raw::check_floating(op, x);
  const auto convert = [](const Tensor& from, DType to) {
    Tensor out = Tensor::empty(from.shape(), to, from.device());
    kernels::copy(from.stream(), from.view(), out.view());
    return out;
  };
  return record(op, convert(x, dtype), {x},
                [convert, from = x.dtype()](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, convert(dy, from));
                });
}

}  // namespace troupe
