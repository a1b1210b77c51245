// Trains a model on one rank and on other layouts and compares all that a layout must not change.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launch/verify/layout_law.h"
#include "launch/verify/layout_list.h"

namespace troupe {

struct VerifyCase {
  EngineConfig engine;  // its compute type is the precision
  int64_t steps = 3;
  int threads = 1;  // of each rank
  std::chrono::milliseconds timeout{600000};
  bool check_collectives = false;
};

// Allowed differences: f64 1e-10. f32, with the decisions of one rank's routers replayed: 1e-5, for
// parameters under AdamW 1e-3. bf16, replayed: 3e-2 of each tensor's norm. Where that is more, what
// the precision itself does to a tensor on one rank: in bf16 thrice (against f32), in f32 ten times
// (against f64), at most 1e-2.
double tolerance_of(DType compute);

struct Verdict {
  VerifiedLayout layout;
  // The largest difference, as a share of what is allowed times tolerance_of(): above it means a
  // difference. An error goes on into all that is computed from it, so where something differs this
  // is the largest among the first quantities that do: counts, loss terms and gradients of the
  // first step, before loss and norm, before later steps and the parameters.
  double worst = 0;
  std::string tensor;  // its logical name: that of a parameter, "loss", "layers.1.moe.switch", ...
  std::string where;   // in words: "gradient of NAME", "loss of step 2", ...
  std::string error;   // the run ended with this instead
  double seconds = 0;
  bool same(double tolerance) const { return error.empty() && worst <= tolerance; }
};

// How a layout is run: on threads of this process, or on the ranks of a job. Collective.
using LayoutRun = std::function<laws::LawResult(const laws::LawCase&)>;
LayoutRun run_on_threads(int ranks, std::chrono::milliseconds timeout,
                         bool check_collectives = false);
LayoutRun run_on_job(const std::shared_ptr<Communicator>& world);

class Verifier {
 public:
  // Trains the reference on one rank.
  explicit Verifier(const VerifyCase& verify);
  const laws::LawResult& reference() const { return reference_; }
  Verdict check(const VerifiedLayout& layout, const LayoutRun& run) const;

 private:
  laws::LawCase law() const;
  void allow(laws::LawCase alone);
  // How far AdamW may move what has gradient i by chance, if it moves an element by `reach`.
  using Chance = std::function<double(const std::vector<laws::Named>&, size_t i, double reach)>;
  void allow_chance(const Chance& chance);
  void compare(const laws::LawResult& found, double tolerance, Verdict& verdict) const;
  VerifyCase verify_;
  laws::LawResult reference_;
  std::vector<double> allowed_gradients_;  // of each tensor of the reference
  std::vector<double> allowed_parameters_;
  double allowed_totals_ = 0;  // of losses and norms after the first step
};

}  // namespace troupe
