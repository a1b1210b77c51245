#include "tests/core/ops/gradient_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "core/ops/view.h"

namespace troupe::testing {
namespace {

constexpr double kStep = 1e-5;

Tensor weights_for(const Tensor& out) { return random_tensor(out.shape(), 977); }

double weighted_sum(const Tensor& out) {
  const std::vector<double> values = out.values();
  const std::vector<double> weights = weights_for(out).values();
  double total = 0;
  for (size_t i = 0; i < values.size(); ++i) total += values[i] * weights[i];
  return total;
}

double error_of(double numeric, double given) {
  const double error = std::abs(numeric - given) / std::max(1.0, std::abs(numeric));
  return std::isfinite(error) ? error : 1e300;
}

// Central difference of the weighted sum when element i of `x` moves.
double central_difference(const std::function<double()>& value, double* x) {
  const double before = *x;
  *x = before + kStep;
  const double above = value();
  *x = before - kStep;
  const double below = value();
  *x = before;
  return (above - below) / (2 * kStep);
}

Tensor copy_of(const Tensor& x) {
  return Tensor::from(x.values(), x.shape(), x.dtype(), x.device());
}

Tensor spoilt(const Tensor& gradient, Mutant mutant) {
  std::vector<double> values = gradient.values();
  for (size_t i = 0; i < values.size(); ++i) {
    if (mutant == Mutant::negated) values[i] = -values[i];
    if (mutant == Mutant::doubled) values[i] *= 2;
  }
  if (mutant == Mutant::missing_term && !values.empty()) {
    *std::max_element(values.begin(), values.end(),
                      [](double a, double b) { return std::abs(a) < std::abs(b); }) = 0;
  }
  return Tensor::from(values, gradient.shape(), gradient.dtype(), gradient.device());
}

class SpoiltInputs : public InputGradients {
 public:
  SpoiltInputs(InputGradients& inner, Mutant mutant, int input)
      : inner_(inner), mutant_(mutant), input_(input) {}
  bool needs(int i) const override { return inner_.needs(i); }
  void add(int i, Tensor gradient) override {
    inner_.add(i, i == input_ ? spoilt(gradient, mutant_) : gradient);
  }

 private:
  InputGradients& inner_;
  Mutant mutant_;
  int input_;
};

constexpr Mutant kMutants[] = {Mutant::negated, Mutant::doubled, Mutant::missing_term};

}  // namespace

const std::shared_ptr<Device>& test_device() {
  // One thread: that more threads give the same bits is tested on its own.
  static const std::shared_ptr<Device> device = Device::cpu(1);
  return device;
}

Tensor random_tensor(const Shape& shape, uint64_t key, double spread, double offset, DType dtype) {
  const Random random(key, "test", shape.text());
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = offset + spread * random.normal(i);
  return Tensor::from(values, shape, dtype, test_device());
}

std::unique_ptr<Parameter> random_parameter(const Shape& shape, uint64_t key, DType compute,
                                            double offset) {
  Shape start = shape;
  for (int i = 0; i < shape.rank(); ++i) start[i] = 0;
  auto parameter =
      std::make_unique<Parameter>("test.weight", Layout::replicated(shape, MeshKind::attention, {}),
                                  Box{start, shape}, compute, Init{}, true, test_device());
  const std::vector<double> values = random_tensor(shape, key, 1.0, offset).values();
  for (size_t i = 0; i < values.size(); ++i) {
    if (wide(compute) == DType::f64) {
      parameter->value().data<double>()[i] = values[i];
    } else {
      parameter->value().data<float>()[i] = static_cast<float>(values[i]);
    }
  }
  parameter->value_changed();
  return parameter;
}

double gradient_error(const Function& f, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> values;
  std::vector<Tensor> received(inputs.size());
  std::vector<Tensor> leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values.push_back(copy_of(inputs[i]));
    leaves.push_back(leaf(values[i], [&received, i](Tensor g) { received[i] = std::move(g); }));
  }
  {
    const Tensor out = f(leaves);
    const Tensor seed = weights_for(out);
    backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
  }
  NoGrad no_grad;
  double worst = 0;
  const auto value = [&] { return weighted_sum(f(values)); };
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!received[i].defined()) return 1e300;
    const std::vector<double> given = received[i].values();
    auto* data = values[i].data<double>();
    for (size_t j = 0; j < given.size(); ++j) {
      worst = std::max(worst, error_of(central_difference(value, data + j), given[j]));
    }
  }
  return worst;
}

double parameter_gradient_error(const std::function<Tensor()>& f,
                                const std::vector<Parameter*>& parameters) {
  for (Parameter* parameter : parameters) parameter->zero_gradient();
  {
    const Tensor out = f();
    const Tensor seed = weights_for(out);
    backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
  }
  NoGrad no_grad;
  double worst = 0;
  const auto value = [&] {
    for (Parameter* parameter : parameters) parameter->value_changed();
    return weighted_sum(f());
  };
  for (Parameter* parameter : parameters) {
    parameter->finish_gradient();
    const std::vector<double> given = parameter->gradient().values();
    auto* data = parameter->value().data<double>();
    for (size_t j = 0; j < given.size(); ++j) {
      worst = std::max(worst, error_of(central_difference(value, data + j), given[j]));
    }
    parameter->value_changed();
  }
  return worst;
}

Function mutated(const Function& f, Mutant mutant, int input) {
  return [=](std::span<const Tensor> inputs) {
    Tensor out = f(inputs);
    if (out.node()) {
      out.node()->input_gradient = [inner = out.node()->input_gradient, mutant, input](
                                       const Tensor& dy, InputGradients& gradients) {
        SpoiltInputs spoilt_inputs(gradients, mutant, input);
        inner(dy, spoilt_inputs);
      };
    }
    return out;
  };
}

void expect_correct(const Function& f, const std::vector<Tensor>& inputs, double tolerance) {
  std::string shapes;
  for (const Tensor& input : inputs) shapes += input.shape().text();
  EXPECT_LE(gradient_error(f, inputs), tolerance) << "inputs " << shapes;
}

void expect_gradients(const Function& f, const std::vector<Tensor>& inputs, double tolerance) {
  expect_correct(f, inputs, tolerance);
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
    if (inputs[static_cast<size_t>(i)].elements() == 0) continue;
    for (Mutant mutant : kMutants) {
      EXPECT_GT(gradient_error(mutated(f, mutant, i), inputs), 100 * tolerance)
          << "mutant " << static_cast<int>(mutant) << " of input " << i << " was not caught";
    }
  }
}

void expect_parameter_gradients(const std::function<Tensor()>& f,
                                const std::vector<Parameter*>& parameters, double tolerance) {
  EXPECT_LE(parameter_gradient_error(f, parameters), tolerance);
  // The weight half of a node adds straight into main gradients, so its mutants spoil the output
  // gradient that it is given.
  for (Mutant mutant : kMutants) {
    const auto wrong = [&f, mutant] {
      Tensor out = f();
      if (out.node() && out.node()->weight_gradient) {
        out.node()->weight_gradient = [inner = out.node()->weight_gradient,
                                       mutant](const Tensor& dy) { inner(spoilt(dy, mutant)); };
      }
      return out;
    };
    EXPECT_GT(parameter_gradient_error(wrong, parameters), 100 * tolerance)
        << "mutant " << static_cast<int>(mutant) << " of a weight gradient was not caught";
  }
}

Tensor through_transpose(const Tensor& x) { return transpose(x, -1, -2); }
Tensor through_cut(const Tensor& x) { return narrow(x, -1, 1, x.dim(-1) - 2); }
Tensor through_expand(const Tensor& x, int64_t rows) {
  Shape shape = x.shape();
  shape[0] = rows;
  return expand(x, shape);
}

double relative_difference(const Tensor& a, const Tensor& b, double floor) {
  const std::vector<double> x = a.values();
  const std::vector<double> y = b.values();
  EXPECT_EQ(x.size(), y.size());
  double worst = 0;
  double largest = floor;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - y[i]);
    worst = std::isnan(difference) ? 1e300 : std::max(worst, difference);
    largest = std::max(largest, std::abs(x[i]));
  }
  return worst / largest;
}

}  // namespace troupe::testing
