#include "moe/routers/parts/draws.h"

#include "core/device/cpu/parallel_for.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

// Fills [rows, columns] row by row; a row depends on the global position of its token only.
template <typename Token, typename F>
Tensor fill_rows(const TokenContext& context, int64_t rows, Token&& token, int64_t columns,
                 DType dtype, const std::shared_ptr<Device>& device, F&& value) {
  Tensor out = Tensor::empty(Shape{rows, columns}, dtype, device);
  constexpr int64_t kRows = 64;
  HostBytes host(out, HostAccess::write);
  parallel_for(device->stream(), (rows + kRows - 1) / kRows, [&](int64_t piece) {
    const int64_t end = std::min(rows, (piece + 1) * kRows);
    for (int64_t t = piece * kRows; t < end; ++t) {
      const uint64_t index = context.draw_index(token(t));
      if (dtype == DType::f64) {
        value(index, reinterpret_cast<double*>(host.data()) + t * columns);
      } else {
        value(index, reinterpret_cast<float*>(host.data()) + t * columns);
      }
    }
  });
  host.upload();
  return out;
}

}  // namespace

Tensor jitter_factors(const RouterInput& input, const std::string& layer, int64_t dim,
                      double epsilon, DType dtype, const std::shared_ptr<Device>& device) {
  const Random random(input.context.seed, "router jitter", layer);
  const auto token = [&](int64_t row) { return input.token(row); };
  return fill_rows(input.context, input.x_TD.dim(0), token, dim, dtype, device,
                   [&](uint64_t index, auto* row) {
                     for (int64_t d = 0; d < dim; d += 4) {
                       const auto words = random.block(index, static_cast<uint64_t>(d / 4));
                       for (int64_t i = d; i < std::min(dim, d + 4); ++i) {
                         const double uniform = words[static_cast<size_t>(i - d)] * 0x1p-32;
                         row[i] = static_cast<std::remove_reference_t<decltype(row[i])>>(
                             1.0 + epsilon * (2.0 * uniform - 1.0));
                       }
                     }
                   });
}

Tensor normal_noise(const TokenContext& context, const std::string& layer, int64_t experts,
                    DType dtype, const std::shared_ptr<Device>& device) {
  const Random random(context.seed, "router noise", layer);
  const auto token = [](int64_t row) { return row; };
  return fill_rows(context, context.tokens(), token, experts, dtype, device,
                   [&](uint64_t index, auto* row) {
                     for (int64_t e = 0; e < experts; ++e) {
                       row[e] = static_cast<std::remove_reference_t<decltype(row[e])>>(
                           random.normal(index, static_cast<uint64_t>(e)));
                     }
                   });
}

}  // namespace troupe
