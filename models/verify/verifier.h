// Trains a model on one rank and on other layouts and compares all that a layout must not change.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/verify/allowance.h"
#include "models/verify/layout_list.h"
#include "models/verify/layout_run.h"

namespace troupe {

struct VerifyCase {
  EngineConfig engine;  // its compute type is the precision
  int64_t steps = 3;
  int threads = 1;  // of each rank
  std::chrono::milliseconds timeout{600000};
  bool check_collectives = false;
};

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
  bool exact = false;  // something differs that no rounding moves: counts, the sum behind a norm
  size_t draws = 0;    // of the weights; all that is above is of the last
  bool same(double tolerance) const { return error.empty() && worst <= tolerance; }
};

// How a layout is run: on threads of this process, or on the ranks of a job. Collective.
using LayoutRunner = std::function<laws::LawResult(const laws::LayoutRun&)>;
LayoutRunner run_on_threads(int ranks, std::chrono::milliseconds timeout,
                            bool check_collectives = false);
LayoutRunner run_on_job(const std::shared_ptr<Communicator>& world);

// In bf16 a tensor of few elements may by luck be rounded much less on one rank than in the layout
// that is compared with it. So there a difference counts only if it repeats: a layout that differs
// is compared again with other weights, thrice in all, and what no draw finds the same is
// different. What rounding does not move is different at once.
class Verifier {
 public:
  // Trains the reference on one rank.
  explicit Verifier(const VerifyCase& verify);
  Verdict check(const VerifiedLayout& layout, const LayoutRunner& run);

 private:
  struct OneRank {
    laws::LawResult result;
    Allowance allowance;
  };
  laws::LayoutRun law(size_t draw) const;
  OneRank train_alone(size_t draw) const;
  void compare(const OneRank& alone, const laws::LawResult& found, Verdict& verdict) const;
  VerifyCase verify_;
  std::vector<OneRank> alone_;  // of each draw so far
};

}  // namespace troupe
