#include "tests/core/ops/gradient_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "core/ops/view.h"
#include "core/tensor/host_memory.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

constexpr double kStep = 1e-5;

Tensor weights_for(const Tensor& out) {
  return random_tensor(out.shape(), 977, 1.0, 0.0, DType::f64, out.device());
}

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
double central_difference(const std::function<double()>& value, const Tensor& x, int64_t i) {
  const auto put = [&](double element) { host_update<double>(x)[i] = element; };
  const double before = host_copy<double>(x)[i];
  put(before + kStep);
  const double above = value();
  put(before - kStep);
  const double below = value();
  put(before);
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

using Gradients = std::vector<std::vector<double>>;  // empty where none came

double largest_error(const Gradients& numeric, const Gradients& given) {
  double worst = 0;
  for (size_t i = 0; i < numeric.size(); ++i) {
    if (numeric[i].size() != given[i].size()) return 1e300;
    for (size_t j = 0; j < numeric[i].size(); ++j) {
      worst = std::max(worst, error_of(numeric[i][j], given[i][j]));
    }
  }
  return worst;
}

void run_backward(const Tensor& out) {
  const Tensor seed = weights_for(out);
  backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
}

Gradients given_gradients(const Function& f, const std::vector<Tensor>& inputs) {
  Gradients given(inputs.size());
  std::vector<Tensor> leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    leaves.push_back(
        leaf(inputs[i], [&given, i](const Tensor& gradient) { given[i] = gradient.values(); }));
  }
  run_backward(f(leaves));
  return given;
}

Gradients numeric_gradients(const Function& f, const std::vector<Tensor>& inputs) {
  NoGrad no_grad;
  std::vector<Tensor> values;
  for (const Tensor& input : inputs) values.push_back(copy_of(input));
  Gradients numeric(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (int64_t j = 0; j < values[i].elements(); ++j) {
      numeric[i].push_back(
          central_difference([&] { return weighted_sum(f(values)); }, values[i], j));
    }
  }
  return numeric;
}

Gradients given_gradients(const std::function<Tensor()>& f,
                          const std::vector<Parameter*>& parameters) {
  for (Parameter* parameter : parameters) parameter->zero_gradient();
  run_backward(f());
  Gradients given;
  for (Parameter* parameter : parameters) {
    parameter->finish_gradient();
    given.push_back(parameter->gradient().values());
  }
  return given;
}

Gradients numeric_gradients(const std::function<Tensor()>& f,
                            const std::vector<Parameter*>& parameters) {
  NoGrad no_grad;
  Gradients numeric;
  for (Parameter* parameter : parameters) {
    const auto value = [&] {
      parameter->value_changed();
      return weighted_sum(f());
    };
    numeric.emplace_back();
    for (int64_t j = 0; j < parameter->value().elements(); ++j) {
      numeric.back().push_back(central_difference(value, parameter->value(), j));
    }
    parameter->value_changed();
  }
  return numeric;
}

constexpr Mutant kMutants[] = {Mutant::negated, Mutant::doubled, Mutant::missing_term};

}  // namespace

const std::shared_ptr<Device>& test_device() {
  // One thread: that more threads give the same bits is tested on its own.
  static const std::shared_ptr<Device> device = chosen_device(1);
  return device;
}

Tensor random_tensor(const Shape& shape, uint64_t key, double spread, double offset, DType dtype,
                     const std::shared_ptr<Device>& device) {
  const Random random(key, "test", shape.text());
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = offset + spread * random.normal(i);
  return Tensor::from(values, shape, dtype, device ? device : test_device());
}

std::unique_ptr<Parameter> random_parameter(const Shape& shape, uint64_t key, DType compute,
                                            double offset) {
  Shape start = shape;
  for (int i = 0; i < shape.rank(); ++i) start[i] = 0;
  auto parameter =
      std::make_unique<Parameter>("test.weight", Layout::replicated(shape, MeshKind::attention, {}),
                                  Box{start, shape}, compute, Init{}, true, test_device());
  const std::vector<double> values = random_tensor(shape, key, 1.0, offset).values();
  if (wide(compute) == DType::f64) {
    std::copy(values.begin(), values.end(), host_output<double>(parameter->value()).data());
  } else {
    std::transform(values.begin(), values.end(), host_output<float>(parameter->value()).data(),
                   [](double value) { return static_cast<float>(value); });
  }
  parameter->value_changed();
  return parameter;
}

double gradient_error(const Function& f, const std::vector<Tensor>& inputs) {
  return largest_error(numeric_gradients(f, inputs), given_gradients(f, inputs));
}

double parameter_gradient_error(const std::function<Tensor()>& f,
                                const std::vector<Parameter*>& parameters) {
  return largest_error(numeric_gradients(f, parameters), given_gradients(f, parameters));
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
  std::string shapes;
  for (const Tensor& input : inputs) shapes += input.shape().text();
  const Gradients numeric = numeric_gradients(f, inputs);
  EXPECT_LE(largest_error(numeric, given_gradients(f, inputs)), tolerance) << "inputs " << shapes;
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
    if (inputs[static_cast<size_t>(i)].elements() == 0) continue;
    for (Mutant mutant : kMutants) {
      EXPECT_GT(largest_error(numeric, given_gradients(mutated(f, mutant, i), inputs)),
                100 * tolerance)
          << "mutant " << static_cast<int>(mutant) << " of input " << i << " was not caught";
    }
  }
}

void expect_parameter_gradients(const std::function<Tensor()>& f,
                                const std::vector<Parameter*>& parameters, double tolerance) {
  const Gradients numeric = numeric_gradients(f, parameters);
  EXPECT_LE(largest_error(numeric, given_gradients(f, parameters)), tolerance);
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
    EXPECT_GT(largest_error(numeric, given_gradients(wrong, parameters)), 100 * tolerance)
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
