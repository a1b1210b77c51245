// Every operator on drawn shapes: sizes of 0, 1 and odd ones, operands that lie as they are,
// transposed, cut out of a larger tensor or broadcast.
#include <gtest/gtest.h>

#include <numeric>

#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/attention.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/grouped_linear.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/ops/rope.h"
#include "core/ops/rows.h"
#include "core/ops/softmax.h"
#include "core/ops/swiglu_experts.h"
#include "core/ops/view.h"
#include "tests/core/ops/drawn_operands.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

constexpr double kTolerance = 1e-6;

// Gradients of the operands, and of the parameters that f reads.
void check(const std::vector<Operand>& operands, const Function& f,
           const std::vector<Parameter*>& parameters = {}) {
  std::vector<Tensor> bases;
  for (const Operand& operand : operands) bases.push_back(operand.base);
  const Function viewed = [&](std::span<const Tensor> in) {
    std::vector<Tensor> seen;
    for (size_t i = 0; i < in.size(); ++i) seen.push_back(operands[i].view(in[i]));
    return f(seen);
  };
  expect_correct(viewed, bases, kTolerance);
  if (parameters.empty()) return;
  EXPECT_LE(parameter_gradient_error([&] { return viewed(bases); }, parameters), kTolerance);
}

Tensor ids(const std::vector<int32_t>& values, const Shape& shape) {
  return Tensor::from(std::span<const int32_t>(values), shape, test_device());
}

struct Operator {
  std::string name;
  std::function<void(Draw&)> round;
};

Operator unary(const std::string& name, Tensor (*op)(const Tensor&), double offset = 0.0) {
  return {name, [=](Draw& draw) {
            check({draw.operand(draw.shape(draw.any()), offset > 0 ? 0.2 : 1.0, offset)},
                  [op](auto in) { return op(in[0]); });
          }};
}

// Each dim of the second operand may be 1, and leading ones may be missing.
Operator binary(const std::string& name, Tensor (*op)(const Tensor&, const Tensor&)) {
  return {name, [=](Draw& draw) {
            const Shape a = draw.shape(draw.any());
            Shape b;
            for (int i = static_cast<int>(draw.below(a.rank() + 1)); i < a.rank(); ++i)
              b.append(draw.coin() ? 1 : a[i]);
            const Operand left = draw.operand(a, 0.2, 2.0);
            const Operand right = draw.operand(b, 0.2, 2.0);
            check({left, right}, [op](auto in) { return op(in[0], in[1]); });
            check({right, left}, [op](auto in) { return op(in[0], in[1]); });
          }};
}

Operator reduction(const std::string& name, Tensor (*all)(const Tensor&),
                   Tensor (*along)(const Tensor&, int, bool)) {
  return {name, [=](Draw& draw) {
            const bool mean_of = name == "mean";  // of nothing it is refused
            Shape shape = draw.shape(draw.some());
            for (int i = 0; mean_of && i < shape.rank(); ++i)
              shape[i] = std::max<int64_t>(shape[i], 1);
            const auto dim = static_cast<int>(draw.below(shape.rank()));
            const bool keep = draw.coin();
            const Operand x = draw.operand(shape);
            check({x}, [all](auto in) { return all(in[0]); });
            check({x}, [=](auto in) { return along(in[0], dim, keep); });
          }};
}

std::vector<Operator> elementwise() {
  return {unary("relu", relu),
          unary("squared_relu", squared_relu),
          unary("sigmoid", sigmoid),
          unary("silu", silu),
          unary("gelu", gelu),
          unary("gelu_tanh", gelu_tanh),
          unary("tanh", tanh),
          unary("exp", exp),
          unary("log", log, 2.0),
          unary("sqrt", sqrt, 2.0),
          unary("square", square),
          unary("softplus", softplus),
          unary("normal_cdf", normal_cdf),
          unary("softmax", softmax),
          unary("log_softmax", log_softmax),
          binary("add", add),
          binary("sub", sub),
          binary("mul", mul),
          binary("div", div),
          reduction("sum", sum, sum),
          reduction("mean", mean, mean),
          {"affine",
           [](Draw& draw) {
             check({draw.operand(draw.shape(draw.any()))},
                   [](auto in) { return affine(in[0], -1.5, 0.25); });
           }},
          {"logsumexp",
           [](Draw& draw) {
             check({draw.operand(draw.shape(draw.some()))},
                   [](auto in) { return logsumexp(in[0]); });
           }},
          {"swiglu", [](Draw& draw) {
             const Shape shape = draw.shape(2 * draw.any());
             check({draw.operand(shape)}, [](auto in) { return swiglu(in[0]); });
             check({draw.operand(shape), draw.operand(shape)},
                   [](auto in) { return swiglu(in[0], in[1]); });
           }}};
}

std::vector<int64_t> drawn_counts(Draw& draw) {
  std::vector<int64_t> counts;
  for (int64_t e = draw.some(); e > 0; --e) counts.push_back(draw.any());
  return counts;
}

std::vector<Operator> products() {
  return {{"matmul",
           [](Draw& draw) {
             const bool ta = draw.coin();
             const bool tb = draw.coin();
             Shape a{draw.any(), draw.any()};
             Shape b{a[1], draw.any()};
             if (ta) std::swap(a[0], a[1]);
             if (tb) std::swap(b[0], b[1]);
             if (draw.coin()) {
               const int64_t batch = draw.any();
               a = {batch, a[0], a[1]};
               b = {batch, b[0], b[1]};
             }
             check({draw.operand(a), draw.operand(b)},
                   [=](auto in) { return matmul(in[0], in[1], ta, tb); });
           }},
          {"linear",
           [](Draw& draw) {
             const int64_t columns = draw.some();
             const auto weight = random_parameter({draw.some(), columns}, 7);
             const auto bias = random_parameter({weight->value().dim(0)}, 8);
             check({draw.operand(draw.shape(columns))},
                   [&](auto in) { return linear(in[0], *weight, bias.get()); },
                   {weight.get(), bias.get()});
           }},
          {"grouped_linear",
           [](Draw& draw) {
             const std::vector<int64_t> counts = drawn_counts(draw);
             const int64_t rows = std::accumulate(counts.begin(), counts.end(), int64_t{0});
             const auto bank = random_parameter(
                 {static_cast<int64_t>(counts.size()), draw.some(), draw.some()}, 7);
             check({draw.operand({rows, bank->value().dim(2)})},
                   [&](auto in) { return grouped_linear(in[0], counts, *bank); }, {bank.get()});
           }},
          {"swiglu_experts",
           [](Draw& draw) {
             const std::vector<int64_t> counts = drawn_counts(draw);
             const int64_t rows = std::accumulate(counts.begin(), counts.end(), int64_t{0});
             const auto experts = static_cast<int64_t>(counts.size());
             const int64_t dim = draw.some();
             const int64_t hidden = draw.some();
             const auto up = random_parameter({experts, 2 * hidden, dim}, 7);
             const auto down = random_parameter({experts, dim, hidden}, 8);
             check({draw.operand({rows, dim}), draw.operand({rows})},
                   [&](auto in) { return swiglu_experts(in[0], counts, in[1], *up, *down); },
                   {up.get(), down.get()});
           }},
          {"swiglu_feed_forward",
           [](Draw& draw) {
             const int64_t dim = draw.some();
             const int64_t hidden = draw.some();
             const auto up = random_parameter({2 * hidden, dim}, 7);
             const auto down = random_parameter({dim, hidden}, 8);
             check({draw.operand(draw.shape(dim))},
                   [&](auto in) { return swiglu_feed_forward(in[0], *up, *down); },
                   {up.get(), down.get()});
           }},
          {"linear_cross_entropy", [](Draw& draw) {
             const int64_t tokens = draw.any();
             const auto head = random_parameter({draw.some(), draw.some()}, 7);
             const Tensor targets = ids(draw.indices(tokens, -1, head->value().dim(0)), {tokens});
             check({draw.operand({tokens, head->value().dim(1)})},
                   [&](auto in) { return linear_cross_entropy(in[0], *head, targets, 0.7); },
                   {head.get()});
           }}};
}

std::vector<Operator> of_sequences() {
  return {
      {"embedding",
       [](Draw& draw) {
         const auto table = random_parameter({draw.some(), draw.some()}, 1);
         const Shape shape = draw.shape(draw.any());
         const Tensor chosen = ids(draw.indices(shape.elements(), 0, table->value().dim(0)), shape);
         check({}, [&](auto) { return embedding(*table, chosen); }, {table.get()});
       }},
      {"rms_norm",
       [](Draw& draw) {
         const int64_t n = draw.some();
         const auto weight = random_parameter({n}, 2);
         check({draw.operand(draw.shape(n), 1.0, 1.5)},
               [&](auto in) { return rms_norm(in[0], *weight, 0.1); }, {weight.get()});
       }},
      {"layer_norm",
       [](Draw& draw) {
         const int64_t n = draw.some();
         const auto weight = random_parameter({n}, 2);
         const auto bias = random_parameter({n}, 3);
         check({draw.operand(draw.shape(n), 1.0, 1.5)},
               [&](auto in) { return layer_norm(in[0], *weight, *bias, 0.1); },
               {weight.get(), bias.get()});
       }},
      {"rope",
       [](Draw& draw) {
         const int64_t tokens = draw.any();
         const int64_t size = 2 * draw.some();
         const RopeTable table = make_rope_table(9, size, 100.0, DType::f64, test_device());
         const Tensor at = ids(draw.indices(tokens, 0, 9), {tokens});
         check({draw.operand({tokens, draw.some(), size})},
               [&](auto in) { return rope(in[0], table, at); });
       }},
      {"attention",
       [](Draw& draw) {
         const Shape keys{draw.below(3), draw.any(), 1 + draw.below(2), 1 + draw.below(3)};
         Shape queries = keys;
         queries[2] *= 1 + draw.below(2);
         AttentionOptions options;
         options.window = draw.coin() ? draw.some() : 0;
         if (draw.coin()) {
           std::vector<int32_t> documents;
           for (int64_t i = 0; i < keys[0] * keys[1]; ++i)
             documents.push_back(static_cast<int32_t>((i % keys[1]) / 2));
           options.documents = ids(documents, {keys[0], keys[1]});
         }
         check({draw.operand(queries), draw.operand(keys), draw.operand(keys)},
               [&](auto in) { return attention(in[0], in[1], in[2], options); });
       }},
      {"dropout", [](Draw& draw) {
         const Shape shape = draw.shape(draw.some());
         std::vector<int64_t> keys;
         for (int64_t i = 0; i < shape.elements() / shape[-1]; ++i) keys.push_back(draw.below(99));
         const Tensor rows = Tensor::from(std::span<const int64_t>(keys),
                                          {static_cast<int64_t>(keys.size())}, test_device());
         const Random random(5, "dropout", "layers.0");
         check({draw.operand(shape)}, [&](auto in) { return dropout(in[0], 0.25, random, rows); });
       }}};
}

std::vector<Operator> of_rows() {
  return {{"gather_rows",
           [](Draw& draw) {
             const Shape shape{draw.any(), draw.any()};
             const int64_t count = draw.any();
             const Tensor rows = ids(draw.indices(count, -1, shape[0]), {count});
             check({draw.operand(shape)}, [&](auto in) { return gather_rows(in[0], rows); });
           }},
          {"scatter_add_rows",
           [](Draw& draw) {
             const Shape shape{draw.any(), draw.any()};
             const int64_t count = draw.some();
             const Tensor rows = ids(draw.indices(shape[0], -1, count), {shape[0]});
             check({draw.operand(shape)},
                   [&](auto in) { return scatter_add_rows(in[0], rows, count); });
           }},
          {"combine_rows",
           [](Draw& draw) {
             const Shape shape{draw.some(), draw.any()};
             std::vector<int32_t> offsets{0};
             for (int64_t t = draw.any(); t > 0; --t)
               offsets.push_back(offsets.back() + static_cast<int32_t>(draw.any()));
             const int64_t entries = offsets.back();
             const RowLists lists{ids(offsets, {static_cast<int64_t>(offsets.size())}),
                                  ids(draw.indices(entries, 0, shape[0]), {entries})};
             check({draw.operand(shape), draw.operand({entries})},
                   [&](auto in) { return combine_rows(in[0], lists, in[1]); });
           }},
          {"take_along_rows",
           [](Draw& draw) {
             const Shape shape{draw.any(), draw.some()};
             const int64_t k = draw.some();
             const Tensor index = ids(draw.indices(shape[0] * k, 0, shape[1]), {shape[0], k});
             check({draw.operand(shape)}, [&](auto in) { return take_along_rows(in[0], index); });
           }},
          {"concat",
           [](Draw& draw) {
             const Shape shape = draw.shape(draw.any());
             const auto dim = static_cast<int>(draw.below(shape.rank()));
             std::vector<Operand> parts;
             for (int64_t i = draw.some(); i > 0; --i) {
               Shape part = shape;
               part[dim] = draw.any();
               parts.push_back(draw.operand(part));
             }
             check(parts, [&](auto in) { return concat(in, dim); });
           }},
          {"views", [](Draw& draw) {
             const Shape shape{draw.any(), draw.some(), draw.any()};
             const int64_t start = draw.below(shape[1]);
             const int64_t size = draw.below(shape[1] - start + 1);
             const Operand x = draw.operand(shape);
             check({x}, [&](auto in) { return narrow(in[0], 1, start, size); });
             check({x}, [&](auto in) { return transpose(in[0], 0, 2); });
             check({x}, [&](auto in) { return reshape(in[0], {shape[0] * shape[1], shape[2]}); });
             check({x}, [&](auto in) { return expand(in[0], {3, shape[0], shape[1], shape[2]}); });
             check({x}, [&](auto in) { return contiguous(in[0]); });
           }}};
}

std::vector<Operator> operators() {
  std::vector<Operator> all;
  for (auto list : {elementwise(), products(), of_sequences(), of_rows()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

class DrawnShapes : public ::testing::TestWithParam<Operator> {};

TEST_P(DrawnShapes, Gradients) {
  for (uint64_t round = 0; round < 24; ++round) {
    SCOPED_TRACE(round);
    Draw draw(round);
    GetParam().round(draw);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DrawnShapes, ::testing::ValuesIn(operators()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace troupe::testing
