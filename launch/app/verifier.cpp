#include "launch/app/verifier.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread_world.h"

namespace troupe {
namespace {

using laws::LawResult;
using laws::Named;

// Keeps what exceeds its allowance most.
class Worst {
 public:
  Worst(double tolerance, Verdict& verdict) : tolerance_(tolerance), verdict_(verdict) {}
  void note(double difference, double allowed, const std::string& what) {
    double share = difference / allowed * tolerance_;
    if (!std::isfinite(share)) share = std::numeric_limits<double>::max();
    if (share <= verdict_.worst && !verdict_.tensor.empty()) return;
    verdict_.worst = share;
    verdict_.tensor = what;
  }

 private:
  double tolerance_;
  Verdict& verdict_;
};

// |a - b| / |a| of one tensor in the 2-norm; |a| at least 1e-3 x that of an average tensor.
double norm_difference(const std::vector<Named>& a, const std::vector<Named>& b,
                       std::string& where) {
  double squares = 0.0;
  int64_t count = 0;
  for (const Named& tensor : a) {
    for (double value : tensor.values) squares += value * value;
    count += static_cast<int64_t>(tensor.values.size());
  }
  const double rms = std::sqrt(squares / static_cast<double>(std::max<int64_t>(count, 1)));
  double worst = 0.0;
  for (const Named& tensor : a) {
    const auto other = std::find_if(b.begin(), b.end(),
                                    [&](const Named& named) { return named.name == tensor.name; });
    double gap = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      const double y = other != b.end() && i < other->values.size()
                           ? other->values[i]
                           : std::numeric_limits<double>::infinity();
      gap += (tensor.values[i] - y) * (tensor.values[i] - y);
      size += tensor.values[i] * tensor.values[i];
    }
    const double floor = 1e-3 * rms * std::sqrt(static_cast<double>(tensor.values.size()));
    const double difference = std::sqrt(gap) / std::max(std::sqrt(size), floor);
    if (!(difference <= worst)) {
      worst = std::isfinite(difference) ? difference : std::numeric_limits<double>::infinity();
      where = tensor.name;
    }
  }
  return worst;
}

std::string step_name(const char* what, size_t step) {
  return fmt::format("{} of step {}", what, step + 1);
}

// Per-step numbers. Those near zero are compared with the loss that they are part of.
void compare_steps(const std::vector<double>& a, const std::vector<double>& b, const char* what,
                   double allowed, double floor, Worst& worst) {
  for (size_t step = 0; step < a.size(); ++step) {
    const double size = std::max({std::abs(a[step]), floor, 1e-12});
    worst.note(std::abs(a[step] - b.at(step)) / size, allowed, step_name(what, step));
  }
}

std::vector<std::string> term_names(const EngineConfig& engine) {
  std::vector<std::string> names;
  for (size_t layer = 0; layer < engine.model.moe.size(); ++layer) {
    if (!engine.model.moe[layer]) continue;
    for (const BalanceTerm& term : engine.model.moe[layer]->balance)
      names.push_back(fmt::format("layers.{}.moe {} term", layer, term.type));
  }
  return names;
}

}  // namespace

double tolerance_of(DType compute) {
  return compute == DType::f64 ? 1e-10 : compute == DType::f32 ? 1e-5 : 3e-2;
}

LayoutRun run_on_threads(int ranks, std::chrono::milliseconds timeout) {
  return [ranks, timeout](const laws::LawCase& law) {
    LawResult result;
    run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
      world->set_timeout(timeout);
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
  // Rounding may turn a decision of a router; in f64 that is too rare to take it out.
  if (verify.engine.model.compute != DType::f64) alone.record = laws::Recorded::all_steps;
  reference_ = run_law(alone, self_communicator());
}

Verdict Verifier::check(const VerifiedLayout& layout, const LayoutRun& run) const {
  const auto begin = std::chrono::steady_clock::now();
  Verdict verdict{layout, 0, {}, {}, 0};
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
    Worst worst(tolerance, verdict);
    const double loss = std::abs(reference_.losses.front());
    compare_steps(reference_.losses, found.losses, "loss", tolerance, 0.0, worst);
    compare_steps(reference_.norms, found.norms, "gradient norm", tolerance, 0.0, worst);
    const std::vector<std::string> names = term_names(verify_.engine);
    for (size_t i = 0; i < names.size(); ++i) {
      std::vector<double> a;
      std::vector<double> b;
      for (const auto& step : reference_.terms) a.push_back(step.at(i));
      for (const auto& step : found.terms) b.push_back(step.at(i));
      compare_steps(a, b, names[i].c_str(), tolerance, 1e-3 * loss, worst);
    }
    compare_steps(reference_.balance_losses, found.balance_losses, "balance loss", tolerance,
                  1e-3 * loss, worst);
    compare_steps(reference_.z_losses, found.z_losses, "z loss", tolerance, 1e-3 * loss, worst);
    for (size_t step = 0; step < reference_.counts.size(); ++step) {
      const bool equal = reference_.counts[step] == found.counts.at(step);
      // Counts are whole numbers: any difference counts, the causes before it more.
      worst.note(equal ? 0.0 : 2 * tolerance, tolerance, step_name("router counts", step));
    }
    const bool coarse = compute == DType::bf16;
    std::string where;
    const auto difference = [&](const std::vector<Named>& a, const std::vector<Named>& b) {
      return coarse ? norm_difference(a, b, where) : worst_difference(a, b, where);
    };
    const double gradients = difference(reference_.gradients, found.gradients);
    worst.note(gradients, tolerance, "gradient of " + where);
    where.clear();
    const double parameters = difference(reference_.parameters, found.parameters);
    // AdamW divides by moments, which are near zero where the gradient is.
    const double allowed =
        compute == DType::f32 && verify_.engine.optimizer == "adamw" ? 1e-3 : tolerance;
    worst.note(parameters, allowed, where);
  } catch (const Error& error) {
    // Under mpirun the ranks cannot go on together.
    verdict.error = error.what();
    verdict.worst = std::numeric_limits<double>::max();
  }
  verdict.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return verdict;
}

}  // namespace troupe
