// Trains a small model on any layout and gathers everything that a layout must not change.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/engine/training_engine.h"
#include "models/verify/gathered.h"
#include "parallel/comm/communicator.h"

namespace troupe::laws {

struct LawResult {
  std::vector<double> losses;                // per step: LM loss
  std::vector<double> balance_losses;        // per step
  std::vector<double> z_losses;              // per step
  std::vector<double> norms;                 // per step
  std::vector<std::vector<double>> terms;    // per step: each balance term of each MoE layer
  std::vector<std::vector<int64_t>> counts;  // per step: RouterStats::counts of all layers
  std::vector<NamedTensor> gradients;        // of the first step, gathered
  std::vector<NamedTensor> parameters;       // after the last step, gathered
  // Of the first step: per MoE layer the assignment of each global sample.
  std::vector<std::vector<SparseAssignment>> assignments;
  // The same of the steps after it, where asked for.
  std::vector<std::vector<std::vector<SparseAssignment>>> later_assignments;
  // Of the first step: per MoE layer what its router compared, [global_batch * seq_len, experts];
  // empty for hash.
  std::vector<std::vector<double>> selection;
};

// Which of the routers' decisions a run gathers.
enum class Recorded : uint8_t { nothing, first_step, all_steps };

struct LayoutRun {
  EngineConfig engine;
  int ep = 1;  // with dp = all ranks; or
  std::optional<Parallelism> layout = std::nullopt;
  int threads = 1;
  int64_t steps = 5;
  const LawResult* replay = nullptr;  // routes the steps recorded there as recorded
  Recorded record = Recorded::first_step;
  // The device of each rank; empty: the CPU with `threads`.
  std::function<std::shared_ptr<Device>()> make_device = nullptr;
  // Called with each rank's engine before the first step, on the rank's thread; may be empty.
  std::function<void(TrainingEngine& engine)> before_training = nullptr;
};

// Trains on all ranks of `world`. Collective; every rank gets the result.
LawResult run_law(const LayoutRun& law, std::shared_ptr<Communicator> world);
// The same on `ranks` threads.
LawResult run_law_on_threads(const LayoutRun& law, int ranks);

// 2 layers (one dense, one MoE with a shared expert), 12 experts, dim 12, 36 sequences of 8 tokens.
EngineConfig small_engine(DType compute, const std::string& router);

// The drawn batches of one step on this rank of the engine's mesh: a pure function of step and
// sample.
std::function<TokenBatch(int64_t micro)> law_batches(TrainingEngine& engine, int64_t step = 0);

// Every number of the result as bytes, for tests of equal bits.
uint64_t fingerprint(const LawResult& result);

}  // namespace troupe::laws
