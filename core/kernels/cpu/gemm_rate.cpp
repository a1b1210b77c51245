#include "core/kernels/cpu/gemm_rate.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/row_pieces.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/tensor/tensor.h"

namespace troupe::kernels::cpu {
namespace {

Tensor small_numbers(int64_t count, DType dtype, const std::shared_ptr<Device>& device) {
  const Tensor out = Tensor::empty({count}, dtype, device);
  for (int64_t i = 0; i < count; ++i) {
    const double value = static_cast<double>((i * 2654435761U >> 8) % 1024) / 512.0 - 1.0;
    if (dtype == DType::f64) {
      out.data<double>()[i] = value;
    } else if (dtype == DType::f32) {
      out.data<float>()[i] = static_cast<float>(value);
    } else {
      out.data<BF16>()[i] = BF16(static_cast<float>(value));
    }
  }
  return out;
}

// Operands made once for the largest size: packed or not, any numbers do.
struct Operands {
  Tensor x, weight, out;
};

Burst burst_of(Stream& stream, DType dtype, const GemmSize& size,
               const std::shared_ptr<const Operands>& operands) {
  const auto run_all = [&stream, dtype, size, operands] {
    Device& device = *stream.device;
    WeightOperand weight;
    weight.memory = operands->weight.view();
    weight.dtype = dtype;
    weight.k = size.k;
    weight.n = size.n;
    weight.transposed = true;
    weight.block = packed_block(device, dtype, size.k, size.n);
    const std::vector<RowPiece> pieces = row_pieces({&size.m, 1}, size.n);
    const auto in_size = static_cast<int64_t>(size_of(dtype));
    parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
      const RowPiece& p = pieces[static_cast<size_t>(index)];
      const Product& product = weight_product(device, weight, p.rows, p.columns, dtype);
      run(product,
          static_cast<const std::byte*>(operands->x.view().data) + p.row * size.k * in_size,
          weight.columns(0, p.column),
          static_cast<std::byte*>(operands->out.view().data) +
              (p.row * size.n + p.rows * p.column) * in_size);
    });
  };
  return {2.0 * static_cast<double>(size.m * size.n * size.k), run_all};
}

}  // namespace

std::vector<GemmSize> gemm_sizes(const std::vector<GemmSize>& more) {
  std::vector<GemmSize> out;
  for (int64_t size : {1024, 2048}) out.push_back({size, size, size});
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::vector<Burst> gemm_bursts(Stream& stream, DType dtype, const std::vector<GemmSize>& sizes) {
  const auto device = stream.device->shared_from_this();
  int64_t x = 0;
  int64_t weight = 0;
  int64_t out = 0;
  for (const GemmSize& size : sizes) {
    require(size.m > 0 && size.n > 0 && size.k > 0, "the rate of a product [{}, {}] x [{}, {}]",
            size.m, size.k, size.k, size.n);
    x = std::max(x, size.m * size.k);
    weight = std::max(weight, size.n * size.k);
    out = std::max(out, size.m * size.n);
  }
  const auto operands = std::make_shared<Operands>(Operands{small_numbers(x, dtype, device),
                                                            small_numbers(weight, dtype, device),
                                                            Tensor::empty({out}, dtype, device)});
  std::memset(operands->out.view().data, 0, operands->out.bytes());
  std::vector<Burst> bursts;
  for (const GemmSize& size : sizes) bursts.push_back(burst_of(stream, dtype, size, operands));
  return bursts;
}

GemmRate gemm_rate(Stream& stream, DType dtype, const std::vector<GemmSize>& sizes, int times) {
  const std::vector<Burst> bursts = gemm_bursts(stream, dtype, sizes);
  GemmRate best;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const double rate = best_rate(bursts[i], times);
    if (rate > best.flops_per_second) best = {rate, sizes[i]};
  }
  return best;
}

}  // namespace troupe::kernels::cpu
