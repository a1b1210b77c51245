// Which layouts a model and its batch allow: one pure function, used by the checks of a
// configuration and by `troupe verify`. It answers with data; whoever asks writes the sentences.
#pragma once

#include <cstdint>
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

// What a rule looks at: of the layout, of the model, of a step.
enum class LayoutField : uint8_t {
  pp,
  dp,
  cp,
  tp,
  ep,
  etp,
  virtual_stages,
  schedule,
  cp_kind,
  layers,
  heads,
  kv_heads,
  seq_len,
  ffn_dim,
  any_experts,  // whether there are any
  experts,
  expert_ffn,
  shared_ffn,
  balance,
  step,  // global and micro-batch
  global_batch,
  micro_batch
};

// In words: `number` must be ... `unit` (see LayoutProblem).
enum class LayoutRule : uint8_t {
  ranks,                   // the ranks of the job are pp x dp x cp x tp
  expert_ranks,            // the ranks of a stage are a multiple of ep x etp
  heads,                   // a multiple of tp
  kv_heads,                // a multiple or a divisor of tp
  ffn_dim,                 // a multiple of tp
  shared_ffn,              // a multiple of tp
  no_experts,              // ep or etp of a model without experts is 1
  experts,                 // a multiple of ep
  expert_ffn,              // a multiple of etp
  seq_len,                 // a multiple of cp x tp, of twice as much with ring attention
  exchanged_heads,         // the heads of a tp rank are a multiple of cp (all_to_all)
  only_interleaved,        // several chunks a stage are interleaved
  layers,                  // at least pp x virtual_stages
  batch,                   // a multiple of dp x micro_batch
  interleaved,             // the micro-batches are a multiple of pp
  whole_batch,             // a term of the exact batch and several micro-batches: gpipe
  interleaved_whole_batch  // such a term and interleaving, which needs several
};

// Something else that could be changed instead, and its nearest legal values (of an enumeration
// their numbers); without values it is not known how.
struct LayoutChange {
  LayoutField field;
  std::vector<int64_t> values;
};

struct LayoutProblem {
  LayoutRule rule;
  LayoutField field;               // whose value breaks the rule
  int64_t value = 0;               // which it is
  std::vector<LayoutField> reads;  // the other fields that the rule looks at
  int64_t number = 0;
  int64_t unit = 0;
  // Advice. Nearest legal values of the field; where none helps, the nearest legal shapes of the
  // job's ranks; what else could be changed.
  std::vector<int64_t> legal;
  std::vector<MeshShape> shapes;
  std::vector<LayoutChange> changes;
};

// Every reason why this layout cannot be on `world` ranks; empty = legal.
std::vector<LayoutProblem> layout_problems(const Parallelism& parallelism,
                                           const LayoutInputs& inputs, int world);
// The same without advice, which takes a search for what would be legal.
std::vector<LayoutProblem> broken_layout_rules(const Parallelism& parallelism,
                                               const LayoutInputs& inputs, int world);

}  // namespace troupe
