#include "core/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/optimizer.h"
#include "core/kernels/packed_weights.h"

namespace troupe {
namespace {

std::unique_ptr<Parameter> parameter(const std::string& name, const Shape& shape, DType compute,
                                     bool decay, const std::shared_ptr<Device>& device) {
  Shape origin;
  for (int i = 0; i < shape.rank(); ++i) origin.append(0);
  auto out = std::make_unique<Parameter>(
      name, Layout::replicated(shape, MeshKind::attention, {Axis::dp}), Box{origin, shape}, compute,
      Init{Init::Kind::normal, 0.5}, decay, device);
  out->initialize(3);
  return out;
}

Tensor gradient(const Parameter& p, int step, const std::shared_ptr<Device>& device) {
  const Random random(5, "gradient", p.name() + std::to_string(step));
  std::vector<double> values;
  for (int64_t i = 0; i < p.value().elements(); ++i) values.push_back(random.normal(i));
  return Tensor::from(values, p.value().shape(), p.value().dtype(), device);
}

Options options(const std::string& type) { return Options(optimizer_fields(type)); }

TEST(AdamW, FirstStepByHand) {
  const auto device = Device::cpu();
  auto p = parameter("w", {1}, DType::f64, true, device);
  p->value().data<double>()[0] = 2.0;
  auto optimizer = make_optimizer("adamw", options("adamw"), {p.get()});
  p->accumulate(Tensor::full({1}, DType::f64, 8.0, device));
  optimizer->step(0.1, 0.5);  // g = 4, both corrected moments are g and g^2
  EXPECT_DOUBLE_EQ(p->value().item(), 2.0 * (1 - 0.1 * 0.1) - 0.1 * 4.0 / (4.0 + 1e-8));
}

// The published algorithm in f64, over several steps, with and without decay.
TEST(AdamW, FollowsTheAlgorithm) {
  for (DType compute : {DType::f64, DType::f32, DType::bf16}) {
    const auto device = Device::cpu(2);
    const double tolerance = compute == DType::f64 ? 1e-14 : 1e-6;
    std::vector<std::unique_ptr<Parameter>> owned;
    owned.push_back(parameter("matrix", {70, 37}, compute, true, device));
    owned.push_back(parameter("norm", {19}, compute, false, device));
    owned.push_back(parameter("experts", {3, 5, 6}, compute, true, device));
    std::vector<Parameter*> all;
    for (auto& p : owned) all.push_back(p.get());
    auto optimizer = make_optimizer("adamw", options("adamw"), all);
    std::vector<std::vector<double>> w;
    std::vector<std::vector<double>> m;
    std::vector<std::vector<double>> v;
    for (Parameter* p : all) {
      w.push_back(p->value().values());
      m.emplace_back(w.back().size(), 0.0);
      v.emplace_back(w.back().size(), 0.0);
    }
    for (int step = 1; step <= 4; ++step) {
      const double lr = 0.01 * step;
      const double scale = step == 2 ? 0.25 : 1.0;
      for (size_t k = 0; k < all.size(); ++k) {
        const Tensor g = gradient(*all[k], step, device);
        all[k]->zero_gradient();
        all[k]->accumulate(g);
        const auto values = g.values();
        for (size_t i = 0; i < values.size(); ++i) {
          const double gi = values[i] * scale;
          m[k][i] = 0.9 * m[k][i] + 0.1 * gi;
          v[k][i] = 0.95 * v[k][i] + 0.05 * gi * gi;
          const double m_hat = m[k][i] / (1 - std::pow(0.9, step));
          const double v_hat = v[k][i] / (1 - std::pow(0.95, step));
          const double decay = all[k]->decays() ? lr * 0.1 * w[k][i] : 0.0;
          w[k][i] -= lr * m_hat / (std::sqrt(v_hat) + 1e-8) + decay;
        }
      }
      optimizer->step(lr, scale);
    }
    for (size_t k = 0; k < all.size(); ++k) {
      const auto values = all[k]->value().values();
      for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], w[k][i], tolerance);
    }
    EXPECT_EQ(optimizer->updates(), 4);
  }
}

TEST(Sgd, FollowsTheAlgorithm) {
  for (DType compute : {DType::f64, DType::f32}) {
    for (double momentum : {0.0, 0.9}) {
      const auto device = Device::cpu();
      auto p = parameter("w", {13, 3}, compute, true, device);
      auto n = parameter("n", {5}, compute, false, device);
      Options chosen = options("sgd");
      chosen.set("momentum", momentum);
      chosen.set("weight_decay", 0.5);
      auto optimizer = make_optimizer("sgd", chosen, {p.get(), n.get()});
      const std::vector<Parameter*> all = {p.get(), n.get()};
      std::vector<std::vector<double>> w = {p->value().values(), n->value().values()};
      std::vector<std::vector<double>> b = {std::vector<double>(39, 0.0),
                                            std::vector<double>(5, 0.0)};
      for (int step = 0; step < 3; ++step) {
        for (size_t k = 0; k < 2; ++k) {
          const Tensor g = gradient(*all[k], step, device);
          all[k]->zero_gradient();
          all[k]->accumulate(g);
          for (size_t i = 0; i < w[k].size(); ++i) {
            b[k][i] = momentum * b[k][i] + 0.5 * g.values()[i];
            w[k][i] -= 0.1 * b[k][i] + (all[k]->decays() ? 0.1 * 0.5 * w[k][i] : 0.0);
          }
        }
        optimizer->step(0.1, 0.5);
      }
      for (size_t k = 0; k < 2; ++k) {
        const auto values = all[k]->value().values();
        for (size_t i = 0; i < values.size(); ++i) {
          ASSERT_NEAR(values[i], w[k][i], compute == DType::f64 ? 1e-14 : 1e-6);
        }
      }
    }
  }
}

TEST(Sgd, DoesNotDecayWhatMustNot) {
  const auto device = Device::cpu();
  auto n = parameter("n", {5}, DType::f32, false, device);
  const auto before = n->value().values();
  auto optimizer = make_optimizer("sgd", options("sgd"), {n.get()});
  optimizer->step(0.1);  // no gradient counts as zero
  EXPECT_EQ(n->value().values(), before);
}

TEST(Optimizer, BitsDoNotDependOnThreadsOrRanges) {
  std::vector<std::vector<double>> results;
  for (int threads : {1, 2, 4}) {
    const auto device = Device::cpu(threads);
    auto p = parameter("w", {531, 77}, DType::f32, true, device);
    auto optimizer = make_optimizer("adamw", options("adamw"), {p.get()});
    for (int step = 0; step < 3; ++step) {
      p->zero_gradient();
      p->accumulate(gradient(*p, step, device));
      optimizer->step(0.01);
    }
    results.push_back(p->value().values());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);

  // The kernel on a whole range and on odd pieces of it.
  const int64_t n = 101;
  std::array<std::array<std::vector<float>, 4>, 2> memory;
  for (auto& one : memory) {
    for (size_t k = 0; k < 4; ++k) {
      const Random random(9, "range", std::to_string(k));
      for (int64_t i = 0; i < n; ++i) {
        const double x = random.normal(static_cast<uint64_t>(i));
        one[k].push_back(static_cast<float>(k == 3 ? x * x : x));
      }
    }
  }
  const auto device = Device::cpu();
  kernels::AdamWStep step;
  step.decay = 0.99;
  step.step_size = 0.01;
  const auto run = [&](auto& one, int64_t begin, int64_t count) {
    const auto view = [&](size_t k) {
      return View{&one[k][static_cast<size_t>(begin)], DType::f32, {count}, {1}};
    };
    const kernels::AdamWRange range{view(0), view(1), view(2), view(3), step};
    kernels::adamw(device->stream(), {&range, 1});
  };
  run(memory[0], 0, n);
  for (int64_t begin = 0, size = 1; begin < n; begin += size, ++size) {
    run(memory[1], begin, std::min(size, n - begin));
  }
  for (size_t k = 0; k < 4; ++k) EXPECT_EQ(memory[0][k], memory[1][k]);
}

TEST(Optimizer, RenewsTheComputeFormsInItsPass) {
  const auto device = Device::cpu(2);
  auto p = parameter("w", {130, 64}, DType::bf16, true, device);
  const auto before = p->compute_value().values();
  auto optimizer = make_optimizer("adamw", options("adamw"), {p.get()});
  p->accumulate(gradient(*p, 0, device));
  const uint64_t version = p->version();
  optimizer->step(0.1);
  EXPECT_GT(p->version(), version);
  EXPECT_EQ(p->existing_forms()->version(), p->version()) << "no second pass is needed";
  const auto main = p->value().values();
  const auto compute = p->compute_value().values();
  for (size_t i = 0; i < main.size(); ++i) {
    ASSERT_EQ(compute[i], static_cast<float>(BF16(static_cast<float>(main[i]))));
  }
  EXPECT_NE(before, compute);
}

TEST(Optimizer, StateContinuesTheRun) {
  const auto device = Device::cpu();
  for (const char* type : {"adamw", "sgd"}) {
    Options chosen = options(type);
    if (std::string(type) == "sgd") chosen.set("momentum", 0.9);
    auto a = parameter("layers.0.w", {9, 4}, DType::f32, true, device);
    auto first = make_optimizer(type, chosen, {a.get()});
    const auto run = [&](Parameter& p, Optimizer& optimizer, int from, int to) {
      for (int step = from; step < to; ++step) {
        p.zero_gradient();
        p.accumulate(gradient(p, step, device));
        optimizer.step(0.01);
      }
    };
    run(*a, *first, 0, 3);
    State saved;
    first->state(saved);
    // Another optimizer takes over from the state.
    auto b = parameter("layers.0.w", {9, 4}, DType::f32, true, device);
    for (int64_t i = 0; i < 36; ++i) b->value().data<float>()[i] = a->value().data<float>()[i];
    auto second = make_optimizer(type, chosen, {b.get()});
    State loaded;
    second->state(loaded);
    ASSERT_EQ(saved.tensors.size(), loaded.tensors.size());
    std::vector<std::string> names;
    for (size_t k = 0; k < saved.tensors.size(); ++k) {
      names.push_back(saved.tensors[k].name);
      EXPECT_EQ(saved.tensors[k].name, loaded.tensors[k].name);
      const Tensor& from = saved.tensors[k].tensor;
      std::memcpy(loaded.tensors[k].tensor.view().data, from.view().data, from.bytes());
    }
    run(*a, *first, 3, 6);
    run(*b, *second, 3, 6);
    EXPECT_EQ(a->value().values(), b->value().values());
    std::vector<std::string> expected = {"optimizer/updates", "optimizer/first_moment/layers.0.w"};
    if (std::string(type) == "adamw") expected.push_back("optimizer/second_moment/layers.0.w");
    EXPECT_EQ(names, expected);
    EXPECT_EQ(optimizer_moments(type, chosen), static_cast<int>(names.size()) - 1);
  }
}

TEST(Sgd, KeepsNothingWithoutMomentum) { EXPECT_EQ(optimizer_moments("sgd", options("sgd")), 0); }

TEST(Optimizer, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(optimizer_fields("adam"), Error);
  const auto device = Device::cpu();
  auto p = parameter("w", {2}, DType::f32, true, device);
  Options three = options("adamw");
  three.set("betas", std::vector<double>{0.9, 0.95, 0.99});
  EXPECT_THROW(make_optimizer("adamw", three, {p.get()}), Error);
}

TEST(SumOfSquares, IsInF64) {
  std::vector<float> x(100003, 1e-3F);
  x[0] = 1e4F;
  const double expected = 1e8 + 100002 * (static_cast<double>(1e-3F) * 1e-3F);
  const auto sum = [device = Device::cpu(2)](auto& x, DType dtype, int64_t count) {
    const Tensor out = Tensor::empty({1}, DType::f64, device);
    const kernels::Part part{{x.data(), dtype, {count}, {1}}};
    kernels::sum_of_squares(device->stream(), {&part, 1}, out.view());
    return out.item();
  };
  EXPECT_NEAR(sum(x, DType::f32, 100003), expected, 1e-4) << "f32 would lose every small one";
  EXPECT_EQ(sum(x, DType::f32, 0), 0.0);
  std::vector<double> y = {3.0, -4.0};
  EXPECT_EQ(sum(y, DType::f64, 2), 25.0);
  x[77] = std::nanf("");
  EXPECT_TRUE(std::isnan(sum(x, DType::f32, 100003)));
}

}  // namespace
}  // namespace troupe
