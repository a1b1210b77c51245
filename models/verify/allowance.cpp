#include "models/verify/allowance.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace troupe {
namespace {

using laws::LawResult;
using laws::NamedTensor;
using laws::Size;
using laws::size_of;

// What the precision itself does to each tensor on one rank: its difference to a run in a better
// one. A layout may do three times as much in bf16, ten times in f32 but never more than a
// hundredth, far below what a wrong sum makes; a tensor whose gradient nearly cancels (the bias of
// keys) is mostly rounding.
std::vector<double> allowances(const std::vector<NamedTensor>& reference,
                               const std::vector<NamedTensor>& precise, DType compute,
                               double tolerance) {
  std::vector<double> allowed = differences(reference, precise, norm_of(compute));
  for (double& value : allowed) {
    const double more = compute == DType::bf16 ? 3 * value : std::min(10 * value, 1e-2);
    value = std::max(tolerance, more);
  }
  return allowed;
}

// By how much the 2-norm of all gradients may differ where each differs by its allowance of its own
// 2-norm: the norms of a and b never differ by more than the norm of a - b.
double allowed_norm(const std::vector<NamedTensor>& gradients, const std::vector<double>& allowed) {
  double squares = 0.0;
  double moved = 0.0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double of_tensor = size_of(gradients[i]).squares;
    squares += of_tensor;
    moved += allowed[i] * allowed[i] * of_tensor;
  }
  return squares > 0.0 ? std::sqrt(moved / squares) : 0.0;
}

// AdamW moves an element by up to `reach` whatever the size of its gradient, so where that is not
// much larger than its rounding (the difference of `gradient` to `precise`) chance decides where
// to. The 2-norm of what that may make of a tensor.
double moved_by_chance(const NamedTensor& gradient, const NamedTensor& precise, double reach) {
  const auto n = static_cast<double>(gradient.values.size());
  double squares = 0.0;
  for (size_t i = 0; i < gradient.values.size(); ++i) {
    squares += std::pow(gradient.values[i] - precise.values[i], 2);
  }
  const double rounding = std::sqrt(squares / n);
  double moved = 0.0;
  for (const double value : gradient.values) {
    const double share = rounding == 0.0 ? 0.0 : std::min(1.0, 4 * rounding / std::abs(value));
    moved += std::pow(2 * reach * share, 2);
  }
  return std::sqrt(moved);
}

// The same in f64, of the largest element: only gradients near the last bits of others are chance.
double chance_of_last_bits(const std::vector<NamedTensor>& gradients, size_t i, double reach,
                           double eps) {
  constexpr double kLastBits = 16 * 0x1p-53;
  Size all;
  double count = 0;
  for (const NamedTensor& tensor : gradients) {
    all.squares += size_of(tensor).squares;
    count += static_cast<double>(tensor.values.size());
  }
  const double rms = std::sqrt(all.squares / std::max(count, 1.0));
  const double rounding = kLastBits * std::max(rms, size_of(gradients[i]).largest);
  double smallest = std::numeric_limits<double>::max();
  for (const double value : gradients[i].values) smallest = std::min(smallest, std::abs(value));
  return 2 * reach * std::min(1.0, rounding / (smallest + eps));
}

// How far AdamW may move what has gradient i by chance, if it moves an element by `reach`.
using Chance = std::function<double(size_t i, double reach)>;

void allow_chance(const EngineConfig& engine, const LawResult& reference, const Chance& chance,
                  Allowance& allowance) {
  const double reach = engine.lr * static_cast<double>(reference.losses.size());
  const laws::Norm norm = norm_of(engine.model.compute);
  for (size_t i = 0; i < allowance.parameters.size(); ++i) {
    const NamedTensor& parameter = reference.parameters[i];
    const Size size = size_of(parameter);
    for (size_t j = 0; j < reference.gradients.size(); ++j) {
      if (reference.gradients[j].name != parameter.name) continue;
      allowance.parameters[i] +=
          chance(j, reach) /
          std::max(norm == laws::Norm::two ? size.two_norm() : size.largest, 1e-12);
    }
  }
}

}  // namespace

double tolerance_of(DType compute) {
  return compute == DType::f64 ? 1e-10 : compute == DType::f32 ? 1e-5 : 3e-2;
}

laws::Norm norm_of(DType compute) {
  return compute == DType::bf16 ? laws::Norm::two : laws::Norm::maximum;
}

double relative(double a, double b, double floor) {
  return std::abs(a - b) / std::max({std::abs(a), floor, 1e-12});
}

Allowance allowance_of(const EngineConfig& engine, const LawResult& reference,
                       const LawResult* precise) {
  const DType compute = engine.model.compute;
  // It divides by moments, which are near zero where the gradient is.
  const bool adamw = engine.optimizer == "adamw";
  const double tolerance = tolerance_of(compute);
  const double updated = compute == DType::f32 && adamw ? 1e-3 : tolerance;
  Allowance allowance{std::vector<double>(reference.gradients.size(), tolerance),
                      std::vector<double>(reference.parameters.size(), updated), tolerance,
                      tolerance};
  if (precise == nullptr) {
    if (!adamw) return allowance;
    const double eps = engine.optimizer_options.real("eps");
    allow_chance(
        engine, reference,
        [&](size_t i, double reach) {
          return chance_of_last_bits(reference.gradients, i, reach, eps);
        },
        allowance);
    return allowance;
  }
  allowance.gradients = allowances(reference.gradients, precise->gradients, compute, tolerance);
  allowance.parameters = allowances(reference.parameters, precise->parameters, compute, updated);
  for (size_t step = 0; step < reference.losses.size(); ++step) {
    allowance.totals =
        std::max({allowance.totals, 3 * relative(reference.losses[step], precise->losses[step], 0),
                  3 * relative(reference.norms[step], precise->norms[step], 0)});
  }
  if (compute != DType::bf16) return allowance;
  allowance.first_norm =
      std::max(tolerance, allowed_norm(reference.gradients, allowance.gradients));
  if (!adamw) return allowance;
  allow_chance(
      engine, reference,
      [&](size_t i, double reach) {
        return moved_by_chance(reference.gradients[i], precise->gradients.at(i), reach);
      },
      allowance);
  return allowance;
}

}  // namespace troupe
