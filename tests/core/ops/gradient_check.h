// Compares the gradients of backward with central differences in f64, and shows that the comparison
// would notice a wrong gradient.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe::testing {

using Function = std::function<Tensor(std::span<const Tensor>)>;

// Random values, a pure function of (shape, key): normal, times spread, plus offset. Undefined
// device: that of the test.
Tensor random_tensor(const Shape& shape, uint64_t key, double spread = 1.0, double offset = 0.0,
                     DType dtype = DType::f64, const std::shared_ptr<Device>& device = nullptr);

// A parameter on one rank with random values (spread 1 around offset).
std::unique_ptr<Parameter> random_parameter(const Shape& shape, uint64_t key,
                                            DType compute = DType::f64, double offset = 0.0);

// The largest |difference| / max(1, |value|) between backward and central differences over all
// elements of all inputs, of a random linear function of f's output. Runs f twice for each element.
double gradient_error(const Function& f, const std::vector<Tensor>& inputs);

// The same for main gradients. f reads the parameters itself.
double parameter_gradient_error(const std::function<Tensor()>& f,
                                const std::vector<Parameter*>& parameters);

// How a recorded gradient is spoilt.
enum class Mutant { negated, doubled, missing_term };

// f with the gradient that its last op gives to one input spoilt. The last op must have `input`.
Function mutated(const Function& f, Mutant mutant, int input);

// Passes the check, and each mutant of each input of the last op fails it. `inputs` feed f's only
// op.
void expect_gradients(const Function& f, const std::vector<Tensor>& inputs,
                      double tolerance = 1e-7);
// Passes the check only: for sizes 0 and for functions of several ops.
void expect_correct(const Function& f, const std::vector<Tensor>& inputs, double tolerance = 1e-7);

// The same for parameters: a mutant negates, doubles or drops a part of what f's last op gives.
void expect_parameter_gradients(const std::function<Tensor()>& f,
                                const std::vector<Parameter*>& parameters, double tolerance = 1e-7);

// Non-contiguous forms of an input: applied inside f, so that f sees a transposed, a cut or a
// broadcast view.
Tensor through_transpose(const Tensor& x);  // swaps the last two dims
Tensor through_cut(const Tensor& x);        // drops the first and last element of the last dim
Tensor through_expand(const Tensor& x, int64_t rows);  // [1, ...] repeated along dim 0

// max|a - b| / max(max|a|, floor).
double relative_difference(const Tensor& a, const Tensor& b, double floor = 1e-30);

const std::shared_ptr<Device>& test_device();

}  // namespace troupe::testing
