// Times the products of an MoE layer and of the loss beside the machine's own GEMM rate.
//   troupe_bench_experts [threads] [rows]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <vector>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "core/kernels/cpu/gemm_rate.h"
#include "core/kernels/packed_weights.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/swiglu_experts.h"

namespace troupe {
namespace {

constexpr int64_t kDim = 512;
constexpr int64_t kHidden = 1024;
constexpr int64_t kExperts = 8;
constexpr int64_t kVocabulary = 8192;

double median_seconds(const std::function<void()>& f, int times) {
  f();
  std::vector<double> all;
  for (int i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    all.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

std::unique_ptr<Parameter> weight(const Shape& shape, DType type,
                                  const std::shared_ptr<Device>& device) {
  Shape zero = shape;
  for (int dim = 0; dim < zero.rank(); ++dim) zero[dim] = 0;
  auto out = std::make_unique<Parameter>("w", Layout::replicated(shape, MeshKind::experts, {}),
                                         Box{zero, shape}, type, Init{Init::Kind::normal, 0.02},
                                         true, device);
  out->initialize(1);
  return out;
}

Tensor activations(const Shape& shape, DType type, const std::shared_ptr<Device>& device) {
  const Random random(1, "bench");
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return Tensor::from(values, shape, type, device);
}

void report(const char* what, double flops, double seconds, double rate) {
  fmt::print("  {:34} {:8.2f} ms {:7.0f} GFLOP/s, {:.2f} of the rate\n", what, seconds * 1e3,
             flops / seconds * 1e-9, flops / seconds / rate);
}

void time_experts(const std::vector<int64_t>& counts, DType type,
                  const std::shared_ptr<Device>& device, double rate, const char* what) {
  int64_t rows = 0;
  for (int64_t count : counts) rows += count;
  const auto gate_up = weight({kExperts, 2 * kHidden, kDim}, type, device);
  const auto down = weight({kExperts, kDim, kHidden}, type, device);
  const Tensor x = activations({rows, kDim}, type, device);
  const Tensor gate = activations({rows}, wide(type), device);
  const double flops = 6.0 * 3.0 * static_cast<double>(rows * kDim * kHidden);
  double forward = 0;
  double input = 0;
  double weights = 0;
  const auto clock = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  std::vector<double> forwards, inputs, all_weights;
  const double seconds = median_seconds(
      [&] {
        gate_up->zero_gradient();
        down->zero_gradient();
        const auto ignore = [](const Tensor&) {};
        const double t0 = clock();
        const Tensor y =
            swiglu_experts(leaf(x, ignore), counts, leaf(gate, ignore), *gate_up, *down);
        const double t1 = clock();
        WeightWork later = backward({&y, 1}, {&x, 1}, Weights::defer);
        const double t2 = clock();
        later.run();
        forwards.push_back(t1 - t0);
        inputs.push_back(t2 - t1);
        all_weights.push_back(clock() - t2);
      },
      9);
  const auto median = [](std::vector<double>& v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  forward = median(forwards);
  input = median(inputs);
  weights = median(all_weights);
  report(what, flops, seconds, rate);
  report("  forward", flops / 3, forward, rate);
  report("  input gradient", flops / 3, input, rate);
  report("  weight gradient", flops / 3, weights, rate);
}

void time_loss(int64_t tokens, DType type, const std::shared_ptr<Device>& device, double rate) {
  const auto head = weight({kVocabulary, kDim}, type, device);
  const Tensor x = activations({tokens, kDim}, type, device);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) ids.push_back(static_cast<int32_t>(t * 37 % kVocabulary));
  const Tensor targets = Tensor::from(ids, {tokens}, device);
  const double flops = 6.0 * static_cast<double>(tokens * kDim * kVocabulary);
  report("loss with the head", flops,
         median_seconds(
             [&] {
               head->zero_gradient();
               backward(linear_cross_entropy(leaf(x, [](const Tensor&) {}), *head, targets,
                                             1.0 / static_cast<double>(tokens)));
             },
             5),
         rate);
  report("loss without gradients", flops / 3,
         median_seconds(
             [&] {
               NoGrad no_grad;
               token_nll(x, *head, targets);
             },
             5),
         rate);
}

void time_linear(int64_t tokens, DType type, const std::shared_ptr<Device>& device, double rate) {
  const auto w = weight({kDim, kDim}, type, device);
  const Tensor x = activations({tokens, kDim}, type, device);
  const double flops = 6.0 * static_cast<double>(tokens * kDim * kDim);
  report("linear 512 x 512", flops,
         median_seconds(
             [&] {
               w->zero_gradient();
               const Tensor y = linear(leaf(x, [](const Tensor&) {}), *w);
               backward({&y, 1}, {&x, 1});
             },
             15),
         rate);
}

// What the optimizer's pass adds: writing the packed forms that exist.
void time_packing(DType type, const std::shared_ptr<Device>& device) {
  const auto w = weight({kExperts, 2 * kHidden, kDim}, type, device);
  PackedWeights& forms = w->forms();
  forms.forward();
  forms.input_gradient();
  const double seconds = median_seconds(
      [&] {
        w->value_changed();
        w->forms();
      },
      9);
  const double elements = static_cast<double>(w->value().elements());
  fmt::print("  {:34} {:8.2f} ms for {:.0f} M weights\n", "packing", seconds * 1e3,
             elements * 1e-6);
}

void bench(DType type, int threads, int64_t tokens) {
  const auto device = Device::cpu(threads);
  const auto rate = [&] {
    return kernels::cpu::gemm_rate(device->stream(), type,
                                   kernels::cpu::gemm_sizes({{tokens, 2 * kHidden, kDim}}));
  };
  const kernels::cpu::GemmRate before = rate();
  fmt::print("{}: rate {:.0f} GFLOP/s at {} x {} x {}, {} threads\n", name(type),
             before.flops_per_second * 1e-9, before.size.m, before.size.n, before.size.k, threads);
  const double limit = before.flops_per_second;
  time_experts(std::vector<int64_t>(kExperts, 2 * tokens / kExperts), type, device, limit,
               "experts, equal loads");
  time_experts({2 * tokens / 2, 0, 2 * tokens / 4, 37, 2 * tokens / 8, 3, 2 * tokens / 8 - 40, 0},
               type, device, limit, "experts, skewed loads");
  time_loss(tokens, type, device, limit);
  time_linear(tokens, type, device, limit);
  time_packing(type, device);
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const int64_t tokens = argc > 2 ? std::atoi(argv[2]) : 2048;
  troupe::bench(troupe::DType::f32, threads, tokens);
  troupe::bench(troupe::DType::bf16, threads, tokens);
}
