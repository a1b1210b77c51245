// Keys of train and parallel.
#include <algorithm>

#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"
#include "models/layouts/layout_text.h"

namespace troupe {
namespace {

// As given, else what the ranks of the job leave for it.
int64_t data_ranks(const RunConfig& config, int world) {
  const MeshShape& shape = config.parallel.shape;
  if (!config.values.is_word("parallel.dp", "auto")) return config.values.integer("parallel.dp");
  const int64_t others = int64_t{shape[Axis::tp]} * shape[Axis::cp] * shape[Axis::pp];
  return std::max<int64_t>(1, world / others);
}

}  // namespace

std::vector<Key> train_keys() {
  return {
      integer_key("train.steps", "Optimizer steps of the whole run.")
          .into([](RunConfig & c) -> auto& { return c.train.steps; })
          .required()
          .from(1)
          .to(1e12)
          .may_change()
          .unit("steps"),
      integer_key("train.global_batch", "Sequences per step, over all ranks.")
          .into([](RunConfig & c) -> auto& { return c.train.global_batch; })
          .required()
          .from(1)
          .to(1 << 24)
          .unit("sequences"),
      integer_key("train.micro_batch",
                  "Sequences of one forward pass on one data rank; global_batch must be a multiple "
                  "of dp x micro_batch. auto = global_batch / dp.")
          .into([](RunConfig & c) -> auto& { return c.train.micro_batch; })
          .resolves("auto",
                    [](const RunConfig& c, int world) {
                      return FieldValue(
                          std::max<int64_t>(1, c.train.global_batch / data_ranks(c, world)));
                    })
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 24)
          .unit("sequences"),
  };
}

std::vector<Key> parallel_keys() {
  const auto degree = [](const char* path, const char* help) {
    return integer_key(path, help).value(int64_t{1}).from(1).to(1 << 20).may_change();
  };
  return {
      integer_key("parallel.dp", "Data ranks. auto = the ranks of the job / (pp x cp x tp).")
          .into([](RunConfig & c) -> auto& { return c.parallel.shape[Axis::dp]; })
          .resolves("auto",
                    [](const RunConfig& c, int world) { return FieldValue(data_ranks(c, world)); })
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 20)
          .may_change(),
      degree("parallel.tp",
             "Ranks that share each matrix of attention and dense layers; divides the heads.")
          .into([](RunConfig & c) -> auto& { return c.parallel.shape[Axis::tp]; }),
      KeyMaker("parallel.sp", FieldType::boolean, "Sequence parallelism. auto = (tp > 1).")
          .into([](RunConfig & c) -> auto& { return c.parallel.sp; })
          .resolves("auto", [](const RunConfig& c,
                               int) { return FieldValue(c.parallel.shape[Axis::tp] > 1); })
          .words({"auto"})
          .word("auto")
          .may_change(),
      degree("parallel.cp", "Ranks that share each sequence.").into([](RunConfig & c) -> auto& {
        return c.parallel.shape[Axis::cp];
      }),
      degree("parallel.pp", "Pipeline stages.").into([](RunConfig & c) -> auto& {
        return c.parallel.shape[Axis::pp];
      }),
      degree("parallel.virtual_stages", "Chunks per pipeline rank.").into([
      ](RunConfig & c) -> auto& { return c.parallel.virtual_stages; }),
      degree("parallel.ep",
             "Ranks that share the experts of a layer. ep x etp divides dp x cp x tp, ep the "
             "experts.")
          .into([](RunConfig & c) -> auto& { return c.parallel.shape[Axis::ep]; }),
      degree("parallel.etp", "Ranks that share each expert; divides moe.ffn_dim.").into([
      ](RunConfig & c) -> auto& { return c.parallel.shape[Axis::etp]; }),
      integer_key(
          "parallel.zero",
          "Sharded over data ranks: 0 = nothing, 1 = optimizer state, 2 = gradients too, 3 = "
          "parameters too.")
          .into([](RunConfig & c) -> auto& { return c.parallel.zero; })
          .value(int64_t{0})
          .from(0)
          .to(3)
          .may_change(),
      enum_key(
          "parallel.schedule", pipeline_schedule_names(), "Order of pipeline work.",
          [](RunConfig & c) -> auto& { return c.parallel.schedule; })
          .word("1f1b")
          .may_change(),
      enum_key(
          "parallel.cp_kind", cp_kind_names(), "How context parallel ranks attend.",
          [](RunConfig & c) -> auto& { return c.parallel.cp_kind; })
          .word("ring")
          .may_change(),
      enum_key(
          "parallel.ep_kind", ep_kind_names(), "How tokens travel to experts on other nodes.",
          [](RunConfig & c) -> auto& { return c.parallel.ep_kind; })
          .word("flat")
          .may_change(),
      integer_key("parallel.ranks_per_node", "Ranks of one machine. auto = found.")
          .into([](RunConfig & c) -> auto& { return c.parallel.ranks_per_node; })
          .keeps("auto")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 20)
          .may_change(),
  };
}

}  // namespace troupe
