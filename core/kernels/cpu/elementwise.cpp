#include "core/kernels/elementwise.h"

#include <cstring>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/block_loop.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

template <typename F>
struct Binary {
  F f;
  template <typename T>
  void operator()(int64_t n, const T* const* in, T* const* out) const {
    const T* a = in[0];
    const T* b = in[1];
    T* o = out[0];
    for (int64_t i = 0; i < n; ++i) o[i] = f(a[i], b[i]);
  }
};

template <typename F>
void run_binary(Stream& stream, View a, View b, View out, F f) {
  const Binary<F> kernel{f};
  run_blocks(stream, {a, b}, {out}, block_kernel(kernel));
}

struct Affine {
  double factor;
  double offset;
  template <typename T>
  void operator()(int64_t n, const T* const* in, T* const* out) const {
    const T scale = static_cast<T>(factor);
    const T shift = static_cast<T>(offset);
    const T* x = in[0];
    T* o = out[0];
    for (int64_t i = 0; i < n; ++i) o[i] = scale * x[i] + shift;
  }
};

struct Copy {
  template <typename T>
  void operator()(int64_t n, const T* const* in, T* const* out) const {
    if (in[0] != out[0]) std::memcpy(out[0], in[0], static_cast<size_t>(n) * sizeof(T));
  }
};

// Elements of any one type, one by one.
void copy_raw(View in, View out) {
  const size_t size = size_of(in.dtype);
  if (in.contiguous() && out.contiguous()) {
    if (in.elements() > 0) {
      std::memcpy(out.data, in.data, static_cast<size_t>(in.elements()) * size);
    }
    return;
  }
  const int rank = in.shape.rank();
  for (int64_t i = 0; i < in.elements(); ++i) {
    int64_t rest = i;
    int64_t from = 0;
    int64_t to = 0;
    for (int dim = rank - 1; dim >= 0; --dim) {
      const int64_t position = rest % in.shape[dim];
      rest /= in.shape[dim];
      from += position * in.strides[dim];
      to += position * out.strides[dim];
    }
    std::memcpy(static_cast<std::byte*>(out.data) + to * static_cast<int64_t>(size),
                static_cast<const std::byte*>(in.data) + from * static_cast<int64_t>(size), size);
  }
}

}  // namespace

void add(Stream& stream, View a, View b, View out) {
  run_binary(stream, a, b, out, [](auto x, auto y) { return x + y; });
}

void binary(Stream& stream, BinaryOp op, View a, View b, View out) {
  switch (op) {
    case BinaryOp::add:
      return add(stream, a, b, out);
    case BinaryOp::sub:
      return run_binary(stream, a, b, out, [](auto x, auto y) { return x - y; });
    case BinaryOp::mul:
      return run_binary(stream, a, b, out, [](auto x, auto y) { return x * y; });
    case BinaryOp::div:
      return run_binary(stream, a, b, out, [](auto x, auto y) { return x / y; });
  }
}

void affine(Stream& stream, View in, double factor, double offset, View out) {
  const Affine kernel{factor, offset};
  run_blocks(stream, {in}, {out}, block_kernel(kernel));
}

void copy(Stream& stream, View in, View out) {
  require(in.shape == out.shape, "copy of shape {} to {}", in.shape.text(), out.shape.text());
  if (!is_floating(in.dtype) || !is_floating(out.dtype)) {
    require(in.dtype == out.dtype, "copy of {} to {}", name(in.dtype), name(out.dtype));
    return copy_raw(in, out);
  }
  const Copy kernel;
  run_blocks(stream, {in}, {out}, block_kernel(kernel));
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void add(Stream& stream, View a, View b, View out) { on_device<cpu::add>(stream, a, b, out); }

void copy(Stream& stream, View in, View out) { on_device<cpu::copy>(stream, in, out); }

void binary(Stream& stream, BinaryOp op, View a, View b, View out) {
  on_device<cpu::binary>(stream, op, a, b, out);
}

void affine(Stream& stream, View in, double factor, double offset, View out) {
  on_device<cpu::affine>(stream, in, factor, offset, out);
}

}  // namespace troupe::kernels
