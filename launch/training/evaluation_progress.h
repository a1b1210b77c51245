// How far a long evaluation is.
#pragma once

#include <cstdint>
#include <string>

#include "launch/metrics/work_line.h"

namespace troupe {

// Shows on the terminal or the log how far a long evaluation is; to be given to held_out_loss() as
// batch_done.
class EvaluationProgress {
 public:
  // windows: of the whole evaluation.
  explicit EvaluationProgress(int64_t windows);
  void operator()(int64_t done, int64_t batches);

 private:
  WorkLine line_;
  std::string windows_;
};

}  // namespace troupe
