#include "moe/experts/expert_kind.h"

namespace troupe {

const ExpertKind& expert_kind(const ExpertInputs& inputs) {
  (void)inputs;
  static const ExpertKind swiglu = swiglu_expert_kind();
  return swiglu;
}

}  // namespace troupe
