#include "core/kernels/cpu/block_loop.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/vector.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kPiece = 16384;  // elements that one thread takes at a time

struct Operand {
  std::byte* data;
  DType dtype;
  Shape strides;  // in bytes
};

struct Loop {
  Shape shape;  // merged; the last dim is the inner one
  std::array<Operand, kMaxOperands> operands;
  int inputs = 0;
  int count = 0;
  bool f64 = false;
};

// Drops dims of size 1 and joins dims that every operand walks as one.
Loop merge(std::initializer_list<View> inputs, std::initializer_list<View> outputs) {
  Loop loop;
  std::array<const View*, kMaxOperands> views{};
  for (const View& view : inputs) views[static_cast<size_t>(loop.count++)] = &view;
  loop.inputs = loop.count;
  for (const View& view : outputs) views[static_cast<size_t>(loop.count++)] = &view;
  const Shape& shape = views[static_cast<size_t>(loop.count - 1)]->shape;
  for (int i = 0; i < loop.count; ++i) {
    const View& view = *views[static_cast<size_t>(i)];
    require(view.shape == shape, "elementwise operands of shapes {} and {}", view.shape.text(),
            shape.text());
    require(is_floating(view.dtype), "an elementwise kernel got a {} operand", name(view.dtype));
    loop.operands[static_cast<size_t>(i)] = {static_cast<std::byte*>(view.data), view.dtype, {}};
    loop.f64 = loop.f64 || view.dtype == DType::f64;
  }
  for (int dim = 0; dim < shape.rank(); ++dim) {
    if (shape[dim] == 1) continue;
    const int last = loop.shape.rank() - 1;
    bool joins = last >= 0;
    for (int i = 0; i < loop.count && joins; ++i) {
      const Operand& operand = loop.operands[static_cast<size_t>(i)];
      const View& view = *views[static_cast<size_t>(i)];
      const auto size = static_cast<int64_t>(size_of(view.dtype));
      joins = operand.strides[last] == view.strides[dim] * size * shape[dim];
    }
    if (joins) {
      loop.shape[last] *= shape[dim];
    } else {
      loop.shape.append(shape[dim]);
    }
    for (int i = 0; i < loop.count; ++i) {
      Operand& operand = loop.operands[static_cast<size_t>(i)];
      const View& view = *views[static_cast<size_t>(i)];
      const int64_t stride = view.strides[dim] * static_cast<int64_t>(size_of(view.dtype));
      if (joins) {
        operand.strides[last] = stride;
      } else {
        operand.strides.append(stride);
      }
    }
  }
  if (loop.shape.rank() == 0) {
    loop.shape.append(1);
    for (auto& operand : loop.operands) operand.strides.append(0);
  }
  return loop;
}

template <typename T>
T load_one(const std::byte* data, DType dtype) {
  switch (dtype) {
    case DType::f64:
      return static_cast<T>(*reinterpret_cast<const double*>(data));
    case DType::f32:
      return static_cast<T>(*reinterpret_cast<const float*>(data));
    default:
      return static_cast<T>(static_cast<float>(*reinterpret_cast<const BF16*>(data)));
  }
}

template <typename T>
void store_one(std::byte* data, DType dtype, T value) {
  switch (dtype) {
    case DType::f64:
      *reinterpret_cast<double*>(data) = static_cast<double>(value);
      break;
    case DType::f32:
      *reinterpret_cast<float*>(data) = static_cast<float>(value);
      break;
    default:
      *reinterpret_cast<BF16*>(data) = BF16(static_cast<float>(value));
  }
}

// The block as contiguous T: in place where it lies so, else copied to the buffer.
template <typename T>
const T* load_block(const std::byte* data, DType dtype, int64_t stride, int64_t n, T* buffer) {
  const bool dense = stride == static_cast<int64_t>(size_of(dtype));
  if (dense && dtype == DTypeOf<T>::value) return reinterpret_cast<const T*>(data);
  if (stride == 0) {
    std::fill(buffer, buffer + n, load_one<T>(data, dtype));
    return buffer;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (dense && dtype == DType::bf16) {
      vec::to_f32(reinterpret_cast<const BF16*>(data), buffer, n);
      return buffer;
    }
  }
  for (int64_t i = 0; i < n; ++i) buffer[i] = load_one<T>(data + i * stride, dtype);
  return buffer;
}

template <typename T>
void store_block(std::byte* data, DType dtype, int64_t stride, int64_t n, const T* values) {
  if (reinterpret_cast<const std::byte*>(values) == data) return;
  if constexpr (std::is_same_v<T, float>) {
    if (stride == 2 && dtype == DType::bf16) {
      vec::to_bf16(values, reinterpret_cast<BF16*>(data), n);
      return;
    }
  }
  for (int64_t i = 0; i < n; ++i) store_one<T>(data + i * stride, dtype, values[i]);
}

template <typename T, typename Kernel>
void run_span(const Loop& loop, const std::array<std::byte*, kMaxOperands>& row, int64_t first,
              int64_t count, Kernel kernel, const void* context) {
  alignas(64) T buffers[kMaxOperands][kBlock];
  const T* in[kMaxOperands] = {};
  T* out[kMaxOperands] = {};
  const int last = loop.shape.rank() - 1;
  for (int64_t begin = first; begin < first + count; begin += kBlock) {
    const int64_t n = std::min(kBlock, first + count - begin);
    for (int i = 0; i < loop.count; ++i) {
      const Operand& operand = loop.operands[static_cast<size_t>(i)];
      const int64_t stride = operand.strides[last];
      std::byte* data = row[static_cast<size_t>(i)] + begin * stride;
      if (i < loop.inputs) {
        in[i] = load_block<T>(data, operand.dtype, stride, n, buffers[i]);
      } else {
        const bool direct =
            operand.dtype == DTypeOf<T>::value && stride == static_cast<int64_t>(sizeof(T));
        out[i - loop.inputs] = direct ? reinterpret_cast<T*>(data) : buffers[i];
      }
    }
    kernel(context, n, in, out);
    for (int i = loop.inputs; i < loop.count; ++i) {
      const Operand& operand = loop.operands[static_cast<size_t>(i)];
      const int64_t stride = operand.strides[last];
      store_block<T>(row[static_cast<size_t>(i)] + begin * stride, operand.dtype, stride, n,
                     out[i - loop.inputs]);
    }
  }
}

std::array<std::byte*, kMaxOperands> row_start(const Loop& loop, int64_t row) {
  std::array<std::byte*, kMaxOperands> data{};
  for (int i = 0; i < loop.count; ++i) {
    data[static_cast<size_t>(i)] = loop.operands[static_cast<size_t>(i)].data;
  }
  for (int dim = loop.shape.rank() - 2; dim >= 0; --dim) {
    const int64_t position = row % loop.shape[dim];
    row /= loop.shape[dim];
    for (int i = 0; i < loop.count; ++i) {
      data[static_cast<size_t>(i)] += position * loop.operands[static_cast<size_t>(i)].strides[dim];
    }
  }
  return data;
}

}  // namespace

void run_blocks(Stream& stream, std::initializer_list<View> inputs,
                std::initializer_list<View> outputs, const BlockKernel& kernel) {
  const Loop loop = merge(inputs, outputs);
  const int64_t inner = loop.shape[loop.shape.rank() - 1];
  const int64_t total = loop.shape.elements();
  if (total == 0) return;
  const int64_t rows = total / inner;
  const int64_t rows_per_piece = std::clamp<int64_t>(kPiece / inner, 1, rows);
  const int64_t cuts = inner > 2 * kPiece ? (inner + kPiece - 1) / kPiece : 1;
  const int64_t cut_size = cuts == 1 ? inner : kPiece;
  const int64_t groups = (rows + rows_per_piece - 1) / rows_per_piece;
  parallel_for(stream, groups * cuts, [&](int64_t piece) {
    const int64_t first_row = piece / cuts * rows_per_piece;
    const int64_t begin = piece % cuts * cut_size;
    const int64_t count = std::min(cut_size, inner - begin);
    for (int64_t row = first_row; row < std::min(rows, first_row + rows_per_piece); ++row) {
      if (loop.f64) {
        run_span<double>(loop, row_start(loop, row), begin, count, kernel.f64, kernel.context);
      } else {
        run_span<float>(loop, row_start(loop, row), begin, count, kernel.f32, kernel.context);
      }
    }
  });
}

}  // namespace troupe::kernels::cpu
