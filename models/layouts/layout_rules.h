// Which layouts a model and its batch allow: one pure function, used by the checks of a
// configuration and by `troupe verify`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/model/model_config.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

// What a layout must divide. 0 = the model has none of it, and nothing is asked of it.
struct LayoutInputs {
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t seq_len = 0;
  int64_t ffn_dim = 0;     // of dense layers
  int64_t shared_ffn = 0;  // of all shared experts together
  int64_t experts = 0;
  int64_t expert_ffn = 0;
  int64_t global_batch = 0;  // sequences; 0 = no training steps
  int64_t micro_batch = 0;   // 0 = global_batch / dp
  bool exact_batch = false;  // a balance term waits for the whole batch (global_batch_exact)
};
LayoutInputs layout_inputs(const ModelConfig& model);

struct LayoutProblem {
  std::string key;                 // whose value breaks the rule: "parallel.tp"
  std::vector<std::string> reads;  // the other keys that the rule looks at
  std::string rule;                // with its arithmetic
  std::string fix;                 // the nearest legal values
};

// Every reason why this layout cannot be on `world` ranks; empty = legal.
std::vector<LayoutProblem> layout_problems(const Parallelism& parallelism,
                                           const LayoutInputs& subject, int world);
// The same as one line of keys and rules, without looking for what would be legal; "" = legal.
std::string layout_refusal(const Parallelism& parallelism, const LayoutInputs& subject, int world);

}  // namespace troupe
