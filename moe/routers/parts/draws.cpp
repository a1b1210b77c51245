#include "moe/routers/parts/draws.h"

#include <vector>

#include "core/device/operator.h"
#include "core/kernels/draws.h"

namespace troupe {
namespace {

// What draws are keyed by, of the given tokens: their global positions.
template <typename Token>
Tensor positions(const TokenContext& context, int64_t rows, Token&& token,
                 const std::shared_ptr<Device>& device) {
  std::vector<int64_t> out;
  out.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row)
    out.push_back(static_cast<int64_t>(context.draw_index(token(row))));
  return Tensor::from(std::span<const int64_t>(out), {rows}, device);
}

}  // namespace

Tensor jitter_factors(const RouterInput& input, const std::string& layer, int64_t dim,
                      double epsilon, DType dtype, const std::shared_ptr<Device>& device) {
  const Operator op("router jitter", device->stream());
  const Random random(input.context.seed, "router jitter", layer);
  const int64_t rows = input.x_TD.dim(0);
  const Tensor at = positions(
      input.context, rows, [&](int64_t row) { return input.token(row); }, device);
  Tensor out = Tensor::empty({rows, dim}, dtype, device);
  kernels::jitter_draws(out.stream(), random, at.view(), epsilon, out.view());
  return out;
}

Tensor normal_noise(const TokenContext& context, const std::string& layer, int64_t experts,
                    DType dtype, const std::shared_ptr<Device>& device) {
  const Operator op("router noise", device->stream());
  const Random random(context.seed, "router noise", layer);
  const Tensor at = positions(
      context, context.tokens(), [](int64_t token) { return token; }, device);
  Tensor out = Tensor::empty({context.tokens(), experts}, dtype, device);
  kernels::normal_draws(out.stream(), random, at.view(), out.view());
  return out;
}

}  // namespace troupe
