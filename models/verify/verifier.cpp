#include "models/verify/verifier.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

using laws::LawResult;
using laws::NamedTensor;

// bf16 is judged by more than one draw of the weights, see Verifier.
size_t draws_of(DType compute) { return compute == DType::bf16 ? 3 : 1; }

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
  // The same of what no rounding moves.
  void note_exact(double difference, double allowed, const std::string& tensor,
                  const std::string& where) {
    verdict_.exact = verdict_.exact || !(difference <= allowed);
    note(difference, allowed, tensor, where);
  }

 private:
  double tolerance_;
  Verdict& verdict_;
  bool settled_ = false;
};

// The per-step numbers of two runs.
class StepComparison {
 public:
  StepComparison(const EngineConfig& engine, const LawResult& a, const LawResult& b,
                 double tolerance, const Allowance& allowance, Worst& worst)
      : engine_(engine), a_(a), b_(b), tolerance_(tolerance), allowance_(allowance), worst_(worst) {
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
      const size_t of_layer = no_stats(*moe).counts().size();
      const std::string counts = name + ".router.counts";
      worst_.note_exact(count_difference(step, count, of_layer), tolerance_, counts,
                        fmt::format("{} of step {}", counts, step + 1));
      count += of_layer;
    }
  }
  void totals(size_t step) const {
    note(relative(a_.losses[step], b_.losses[step], 0.0), "loss", "", step);
    note(relative(a_.balance_losses[step], b_.balance_losses[step], part_of_loss()), "balance_loss",
         "", step);
    note(relative(a_.z_losses[step], b_.z_losses[step], part_of_loss()), "z_loss", "", step);
    note(relative(a_.norms[step], b_.norms[step], 0.0), "gradient_norm", "", step,
         allowance_.first_norm);
  }
  // The norm that the layout reports is that of its own gradients in every precision.
  void norm_is_of_gradients() const {
    worst_.note_exact(relative(norm_of_all(b_.gradients), b_.norms.front(), 0.0),
                      kNormOfItsGradients, "gradient_norm", "gradient_norm of step 1");
  }

 private:
  // Both are sums of the same squares in f64.
  static constexpr double kNormOfItsGradients = 1e-10;
  static double norm_of_all(const std::vector<NamedTensor>& tensors) {
    double squares = 0;
    for (const NamedTensor& tensor : tensors) squares += laws::size_of(tensor).squares;
    return std::sqrt(squares);
  }
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
    note(difference, tensor, kind, step, tolerance_);
  }
  // first: what the first step allows.
  void note(double difference, const std::string& tensor, const char* kind, size_t step,
            double first) const {
    worst_.note(difference, step == 0 ? first : allowance_.totals, tensor,
                fmt::format("{}{}{} of step {}", kind, *kind != 0 ? " " : "", tensor, step + 1));
  }

  const EngineConfig& engine_;
  const LawResult& a_;
  const LawResult& b_;
  double tolerance_;
  const Allowance& allowance_;
  Worst& worst_;
};

}  // namespace

LayoutRunner run_on_threads(int ranks, std::chrono::milliseconds timeout, bool check_collectives) {
  return [ranks, timeout, check_collectives](const laws::LayoutRun& law) {
    LawResult result;
    run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
      world->world().set_timeout(timeout);
      world->world().set_check_collectives(check_collectives);
      LawResult mine = run_law(law, std::move(world));
      if (rank == 0) result = std::move(mine);
    });
    return result;
  };
}

LayoutRunner run_on_job(const std::shared_ptr<Communicator>& world) {
  return [world](const laws::LayoutRun& law) { return run_law(law, world); };
}

laws::LayoutRun Verifier::law(size_t draw) const {
  laws::LayoutRun law{verify_.engine};
  law.engine.seed += draw;
  law.threads = verify_.threads;
  law.steps = verify_.steps;
  law.record = laws::Recorded::nothing;
  return law;
}

Verifier::Verifier(const VerifyCase& verify) : verify_(verify) { alone_.push_back(train_alone(0)); }

Verifier::OneRank Verifier::train_alone(size_t draw) const {
  laws::LayoutRun alone = law(draw);
  alone.layout = Parallelism();
  if (layout_inputs(verify_.engine.model).exact_batch) {
    alone.layout->schedule = PipelineSchedule::gpipe;
  }
  const DType compute = verify_.engine.model.compute;
  // Rounding may turn a decision of a router; in f64 that is too rare to take it out.
  if (compute != DType::f64) alone.record = laws::Recorded::all_steps;
  OneRank out{run_law(alone, self_communicator()), {}};
  if (compute == DType::f64) {
    out.allowance = allowance_of(verify_.engine, out.result, nullptr);
    return out;
  }
  const DType better = compute == DType::bf16 ? DType::f32 : DType::f64;
  alone.engine.model.compute = better;
  for (auto& moe : alone.engine.model.moe) {
    if (moe && better == DType::f64) moe->router_precision = better;
  }
  alone.record = laws::Recorded::nothing;
  alone.replay = &out.result;
  const LawResult precise = run_law(alone, self_communicator());
  out.allowance = allowance_of(verify_.engine, out.result, &precise);
  return out;
}

void Verifier::compare(const OneRank& alone, const LawResult& found, Verdict& verdict) const {
  const DType compute = verify_.engine.model.compute;
  const double tolerance = tolerance_of(compute);
  Worst worst(tolerance, verdict);
  const LawResult& reference = alone.result;
  const Allowance& allowance = alone.allowance;
  const StepComparison steps(verify_.engine, reference, found, tolerance, allowance, worst);
  const auto tensors = [&](const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b,
                           const std::vector<double>& allowed, const char* kind) {
    require(a.size() == b.size(), "{} tensors against {}", b.size(), a.size());
    const std::vector<double> found_differences = differences(a, b, norm_of(compute));
    for (size_t i = 0; i < a.size(); ++i) {
      worst.note(found_differences[i], allowed[i], a[i].name, kind + a[i].name);
    }
  };
  steps.layers(0);
  tensors(reference.gradients, found.gradients, allowance.gradients, "gradient of ");
  worst.next();
  steps.totals(0);
  steps.norm_is_of_gradients();
  worst.next();
  for (size_t step = 1; step < steps.steps(); ++step) {
    steps.layers(step);
    steps.totals(step);
  }
  tensors(reference.parameters, found.parameters, allowance.parameters, "");
}

Verdict Verifier::check(const VerifiedLayout& layout, const LayoutRunner& run) {
  const auto begin = std::chrono::steady_clock::now();
  const DType compute = verify_.engine.model.compute;
  Verdict verdict;
  do {
    const size_t draw = verdict.draws;
    if (draw == alone_.size()) alone_.push_back(train_alone(draw));
    const OneRank& alone = alone_[draw];
    laws::LayoutRun spread = law(draw);
    spread.layout = layout.parallelism;
    for (auto& moe : spread.engine.model.moe) {
      if (moe) moe->overlap = layout.overlap;
    }
    if (compute != DType::f64) spread.replay = &alone.result;
    verdict = Verdict();
    verdict.layout = layout;
    verdict.draws = draw + 1;
    try {
      compare(alone, run(spread), verdict);
    } catch (const Error& error) {
      // Under mpirun the ranks cannot go on together.
      verdict.error = error.what();
      verdict.worst = std::numeric_limits<double>::max();
    }
  } while (verdict.error.empty() && !verdict.exact && !verdict.same(tolerance_of(compute)) &&
           verdict.draws < draws_of(compute));
  verdict.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return verdict;
}

}  // namespace troupe
