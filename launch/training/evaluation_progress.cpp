#include "launch/training/evaluation_progress.h"

#include "launch/metrics/progress.h"

namespace troupe {

EvaluationProgress::EvaluationProgress(int64_t windows)
    : line_(stderr, Progress::live_on(stderr)), windows_(std::to_string(windows) + " windows") {}

void EvaluationProgress::operator()(int64_t done, int64_t batches) {
  line_.show("evaluating", windows_, done, batches);
}

}  // namespace troupe
