#include "launch/verify/verifier.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "launch/verify/difference.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread_world.h"

namespace troupe {
namespace {

using laws::LawResult;
using laws::Named;
using laws::Size;
using laws::size_of;

// Keeps what exceeds its allowance most, of the first quantities that do.
class Worst {
 public:
  Worst(double tolerance, Verdict& verdict) : tolerance_(tolerance), verdict_(verdict) {}
  // What is noted from here on is computed from what was noted before.
  void next() { settled_ = settled_ || verdict_.worst > tolerance_; }
  void note(double difference, double allowed, const std::string& tensor,
            const std::string& where) {
    double share = difference / allowed * tolerance_;
    if (!std::isfinite(share)) share = std::numeric_limits<double>::max();
    if (settled_ || (share <= verdict_.worst && !verdict_.tensor.empty())) return;
    verdict_.worst = share;
    verdict_.tensor = tensor;
    verdict_.where = where;
  }

 private:
  double tolerance_;
  Verdict& verdict_;
  bool settled_ = false;
};

// Tensors are compared in the maximum norm; in bf16, where one element may be off by much of itself
// while the tensor is not, in the 2-norm.
laws::Norm norm_of(DType compute) {
  return compute == DType::bf16 ? laws::Norm::two : laws::Norm::maximum;
}

// What the precision itself does to each tensor on one rank: its difference to a run in a better
// one. A layout may do three times as much in bf16, ten times in f32 but never more than a
// hundredth, far below what a wrong sum makes; a tensor whose gradient nearly cancels (the bias of
// keys) is mostly rounding.
std::vector<double> allowances(const std::vector<Named>& reference,
                               const std::vector<Named>& precise, DType compute, double tolerance) {
  std::vector<double> allowed = differences(reference, precise, norm_of(compute));
  for (double& value : allowed) {
    const double more = compute == DType::bf16 ? 3 * value : std::min(10 * value, 1e-2);
    value = std::max(tolerance, more);
  }
  return allowed;
}

// AdamW moves an element by up to `reach` whatever the size of its gradient, so where that is not
// much larger than its rounding (the difference of `gradient` to `precise`) chance decides where
// to. The 2-norm of what that may make of a tensor.
double moved_by_chance(const Named& gradient, const Named& precise, double reach) {
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
double chance_of_last_bits(const std::vector<Named>& gradients, size_t i, double reach,
                           double eps) {
  constexpr double kLastBits = 16 * 0x1p-53;
  Size all;
  double count = 0;
  for (const Named& tensor : gradients) {
    all.squares += size_of(tensor).squares;
    count += static_cast<double>(tensor.values.size());
  }
  const double rms = std::sqrt(all.squares / std::max(count, 1.0));
  const double rounding = kLastBits * std::max(rms, size_of(gradients[i]).largest);
  double smallest = std::numeric_limits<double>::max();
  for (const double value : gradients[i].values) smallest = std::min(smallest, std::abs(value));
  return 2 * reach * std::min(1.0, rounding / (smallest + eps));
}

double relative(double a, double b, double floor) {
  return std::abs(a - b) / std::max({std::abs(a), floor, 1e-12});
}

// The per-step numbers of two runs.
class StepComparison {
 public:
  StepComparison(const EngineConfig& engine, const LawResult& a, const LawResult& b,
                 double tolerance, double later, Worst& worst)
      : engine_(engine), a_(a), b_(b), tolerance_(tolerance), later_(later), worst_(worst) {
    require(a.losses.size() == b.losses.size(), "{} steps against {}", b.losses.size(),
            a.losses.size());
  }
  size_t steps() const { return a_.losses.size(); }

  // What each layer tells: balance terms, those near zero in proportion to the loss that they are
  // part of, and the counts of its router.
  void layers(size_t step) const {
    size_t term = 0;
    size_t count = 0;
    for (size_t layer = 0; layer < engine_.model.moe.size(); ++layer) {
      const auto& moe = engine_.model.moe[layer];
      if (!moe) continue;
      const std::string name = fmt::format("layers.{}.moe", layer);
      for (const BalanceTerm& balance : moe->balance) {
        note(relative(a_.terms[step].at(term), b_.terms[step].at(term), part_of_loss()),
             name + "." + balance.type, "loss term", step);
        ++term;
      }
      const auto of_layer = static_cast<size_t>(3 * moe->experts);
      note(count_difference(step, count, of_layer), name + ".router.counts", "", step);
      count += of_layer;
    }
  }
  void totals(size_t step) const {
    note(relative(a_.losses[step], b_.losses[step], 0.0), "loss", "", step);
    note(relative(a_.balance_losses[step], b_.balance_losses[step], part_of_loss()), "balance_loss",
         "", step);
    note(relative(a_.z_losses[step], b_.z_losses[step], part_of_loss()), "z_loss", "", step);
    note(relative(a_.norms[step], b_.norms[step], 0.0), "gradient_norm", "", step);
  }

 private:
  double part_of_loss() const { return 1e-3 * std::abs(a_.losses.front()); }
  // Whole numbers: of the largest of them.
  double count_difference(size_t step, size_t begin, size_t count) const {
    double largest = 1;
    double gap = 0;
    for (size_t i = begin; i < begin + count; ++i) {
      const auto expected = static_cast<double>(a_.counts[step].at(i));
      largest = std::max(largest, expected);
      gap = std::max(gap, std::abs(expected - static_cast<double>(b_.counts[step].at(i))));
    }
    // One token more or less is a difference in every precision.
    return gap > 0 ? std::max(gap / largest, 2 * tolerance_) : 0.0;
  }
  void note(double difference, const std::string& tensor, const char* kind, size_t step) const {
    worst_.note(difference, step == 0 ? tolerance_ : later_, tensor,
                fmt::format("{}{}{} of step {}", kind, *kind != 0 ? " " : "", tensor, step + 1));
  }

  const EngineConfig& engine_;
  const LawResult& a_;
  const LawResult& b_;
  double tolerance_;
  double later_;  // of the steps after the first
  Worst& worst_;
};

}  // namespace

double tolerance_of(DType compute) {
  return compute == DType::f64 ? 1e-10 : compute == DType::f32 ? 1e-5 : 3e-2;
}

LayoutRun run_on_threads(int ranks, std::chrono::milliseconds timeout, bool check_collectives) {
  return [ranks, timeout, check_collectives](const laws::LawCase& law) {
    LawResult result;
    run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
      world->set_timeout(timeout);
      world->set_check_collectives(check_collectives);
      LawResult mine = run_law(law, std::move(world));
      if (rank == 0) result = std::move(mine);
    });
    return result;
  };
}

LayoutRun run_on_job(const std::shared_ptr<Communicator>& world) {
  return [world](const laws::LawCase& law) { return run_law(law, world); };
}

laws::LawCase Verifier::law() const {
  laws::LawCase law{verify_.engine};
  law.threads = verify_.threads;
  law.steps = verify_.steps;
  law.record = laws::Recorded::nothing;
  return law;
}

Verifier::Verifier(const VerifyCase& verify) : verify_(verify) {
  laws::LawCase alone = law();
  alone.layout = Parallelism();
  if (layout_subject(verify.engine.model).exact_batch) {
    alone.layout->schedule = PipelineSchedule::gpipe;
  }
  // Rounding may turn a decision of a router; in f64 that is too rare to take it out.
  if (verify.engine.model.compute != DType::f64) alone.record = laws::Recorded::all_steps;
  reference_ = run_law(alone, self_communicator());
  allow(alone);
}

// AdamW divides by moments, which are near zero where the gradient is.
void Verifier::allow(laws::LawCase alone) {
  const DType compute = verify_.engine.model.compute;
  const bool adamw = verify_.engine.optimizer == "adamw";
  const double tolerance = tolerance_of(compute);
  const double updated = compute == DType::f32 && adamw ? 1e-3 : tolerance;
  allowed_totals_ = tolerance;
  allowed_gradients_.assign(reference_.gradients.size(), tolerance);
  allowed_parameters_.assign(reference_.parameters.size(), updated);
  if (compute == DType::f64) {
    if (!adamw) return;
    const double eps = verify_.engine.optimizer_options.real("eps");
    allow_chance([eps](const std::vector<Named>& gradients, size_t i, double reach) {
      return chance_of_last_bits(gradients, i, reach, eps);
    });
    return;
  }
  const DType better = compute == DType::bf16 ? DType::f32 : DType::f64;
  alone.engine.model.compute = better;
  for (auto& moe : alone.engine.model.moe) {
    if (moe && better == DType::f64) moe->router_precision = better;
  }
  alone.record = laws::Recorded::nothing;
  alone.replay = &reference_;
  const LawResult precise = run_law(alone, self_communicator());
  allowed_gradients_ = allowances(reference_.gradients, precise.gradients, compute, tolerance);
  allowed_parameters_ = allowances(reference_.parameters, precise.parameters, compute, updated);
  for (size_t step = 0; step < reference_.losses.size(); ++step) {
    allowed_totals_ =
        std::max({allowed_totals_, 3 * relative(reference_.losses[step], precise.losses[step], 0.0),
                  3 * relative(reference_.norms[step], precise.norms[step], 0.0)});
  }
  if (compute != DType::bf16 || !adamw) return;
  allow_chance([&](const std::vector<Named>& gradients, size_t i, double reach) {
    return moved_by_chance(gradients[i], precise.gradients.at(i), reach);
  });
}

void Verifier::allow_chance(const Chance& chance) {
  const double reach = verify_.engine.lr * static_cast<double>(verify_.steps);
  const laws::Norm norm = norm_of(verify_.engine.model.compute);
  for (size_t i = 0; i < allowed_parameters_.size(); ++i) {
    const Named& parameter = reference_.parameters[i];
    const Size size = size_of(parameter);
    for (size_t j = 0; j < reference_.gradients.size(); ++j) {
      if (reference_.gradients[j].name != parameter.name) continue;
      allowed_parameters_[i] +=
          chance(reference_.gradients, j, reach) /
          std::max(norm == laws::Norm::two ? size.two_norm() : size.largest, 1e-12);
    }
  }
}

void Verifier::compare(const LawResult& found, double tolerance, Verdict& verdict) const {
  const DType compute = verify_.engine.model.compute;
  Worst worst(tolerance, verdict);
  const StepComparison steps(verify_.engine, reference_, found, tolerance, allowed_totals_, worst);
  const auto tensors = [&](const std::vector<Named>& a, const std::vector<Named>& b,
                           const std::vector<double>& allowed, const char* kind) {
    require(a.size() == b.size(), "{} tensors against {}", b.size(), a.size());
    const std::vector<double> found_differences = differences(a, b, norm_of(compute));
    for (size_t i = 0; i < a.size(); ++i) {
      worst.note(found_differences[i], allowed[i], a[i].name, kind + a[i].name);
    }
  };
  steps.layers(0);
  tensors(reference_.gradients, found.gradients, allowed_gradients_, "gradient of ");
  worst.next();
  steps.totals(0);
  worst.next();
  for (size_t step = 1; step < steps.steps(); ++step) {
    steps.layers(step);
    steps.totals(step);
  }
  tensors(reference_.parameters, found.parameters, allowed_parameters_, "");
}

Verdict Verifier::check(const VerifiedLayout& layout, const LayoutRun& run) const {
  const auto begin = std::chrono::steady_clock::now();
  Verdict verdict{layout, 0, {}, {}, {}, 0};
  laws::LawCase spread = law();
  spread.layout = layout.parallelism;
  for (auto& moe : spread.engine.model.moe) {
    if (moe) moe->overlap = layout.overlap;
  }
  const DType compute = verify_.engine.model.compute;
  if (compute != DType::f64) spread.replay = &reference_;
  const double tolerance = tolerance_of(compute);
  try {
    const LawResult found = run(spread);
    compare(found, tolerance, verdict);
  } catch (const Error& error) {
    // Under mpirun the ranks cannot go on together.
    verdict.error = error.what();
    verdict.worst = std::numeric_limits<double>::max();
  }
  verdict.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return verdict;
}

}  // namespace troupe
