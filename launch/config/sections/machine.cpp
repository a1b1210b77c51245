// Keys of precision, checkpoint, eval, logging, runtime and bench.
#include "core/kernels/cpu/product.h"
#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"

namespace troupe {

std::vector<Key> machine_keys() {
  return {
      enum_key(
          "precision.compute",
          EnumNames<DType>{{"f64", DType::f64}, {"f32", DType::f32}, {"bf16", DType::bf16}},
          "Type of activations and products. Main weights, gradients and moments are f32 "
          "(f64 under f64). auto = bf16 where the processor of every rank multiplies bf16, "
          "else f32; a run that goes on keeps the choice that it began with.",
          [](RunConfig & c) -> auto& { return c.model.compute; })
          .word("f32")
          .words({"auto"})
          // By this processor; the ranks of a job agree on it later.
          .resolves("auto",
                    [](const RunConfig&, int) {
                      return FieldValue(
                          std::string(kernels::cpu::hardware_bf16() ? "bf16" : "f32"));
                    }),
      integer_key("checkpoint.every", "Steps between checkpoints; 0 = only the last step.")
          .into([](RunConfig & c) -> auto& { return c.checkpoint.every; })
          .value(int64_t{200})
          .from(0)
          .to(1e12)
          .may_change()
          .unit("steps"),
      integer_key("checkpoint.keep",
                  "Newest checkpoints that are kept; 0 = all. Superseded ones count and go first. "
                  "Only what this run made and nothing refers to is removed.")
          .into([](RunConfig & c) -> auto& { return c.checkpoint.keep; })
          .value(int64_t{3})
          .from(0)
          .to(1000000)
          .may_change(),
      KeyMaker("checkpoint.resume", FieldType::path,
               "auto = go on from the newest complete checkpoint of run.dir; never = begin at step "
               "0; or the path of a checkpoint or a run: go on from the newest checkpoint of "
               "run.dir that descends from it, or begin with it.")
          .into([](RunConfig & c) -> auto& { return c.checkpoint.resume; })
          .of_job()
          .words({"auto", "never"})
          .word("auto")
          .may_change(),
      integer_key("checkpoint.shard_above",
                  "A checkpoint with more bytes of tensors is written as one file for each rank "
                  "that writes, beside a manifest; one with less as one file.")
          .into([](RunConfig & c) -> auto& { return c.checkpoint.shard_above; })
          .of_job()
          .value(int64_t{1} << 30)
          .from(0)
          .to(1e18)
          .may_change()
          .unit("bytes"),
      flag_key("checkpoint.async", true,
               "Training waits only while the state is copied; threads write the copy meanwhile. "
               "The copy takes memory (`troupe check`). false = it waits until all is on the disk.")
          .into([](RunConfig & c) -> auto& { return c.checkpoint.async; })
          .of_job()
          .may_change(),
      integer_key("eval.every", "Steps between evaluations on held-out text; 0 = never.")
          .into([](RunConfig & c) -> auto& { return c.eval.every; })
          .value(int64_t{200})
          .from(0)
          .to(1e12)
          .may_change()
          .unit("steps"),
      integer_key(
          "eval.tokens",
          "Held-out tokens of one evaluation, in windows evenly spaced over all held-out text; all "
          "= the whole of it.")
          .into([](RunConfig & c) -> auto& { return c.eval.tokens; })
          .keeps("all")
          .words({"all"})
          .word("all")
          .from(1)
          .to(1e15)
          .may_change()
          .unit("tokens"),
      integer_key("logging.every", "Steps between rows of metrics.")
          .into([](RunConfig & c) -> auto& { return c.logging.every; })
          .value(int64_t{10})
          .from(1)
          .to(1e12)
          .may_change()
          .unit("steps"),
      flag_key("logging.tensorboard", true, "Also write TensorBoard event files.")
          .into([](RunConfig & c) -> auto& { return c.logging.tensorboard; })
          .may_change(),
      integer_key("runtime.threads",
                  "Threads of each rank. auto = OMP_NUM_THREADS, else usable cores / ranks of the "
                  "machine.")
          .into([](RunConfig & c) -> auto& { return c.runtime.threads; })
          .keeps("auto")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(4096)
          .may_change(),
      KeyMaker("runtime.timeout", FieldType::duration,
               "Longest wait for another rank before the run is ended with code 7.")
          .into([](RunConfig & c) -> auto& { return c.runtime.timeout; })
          .value(int64_t{600000})
          .may_change(),
      flag_key(
          "runtime.check_collectives", false,
          "Compare what the ranks are about to do before every collective and end the run with "
          "code 7 at the first difference, naming both call sites. For finding bugs: each "
          "collective waits for one more message.")
          .into([](RunConfig & c) -> auto& { return c.runtime.check_collectives; })
          .may_change(),
      choice_key(
          "bench.routing", {"natural", "balanced", "zipf"}, "natural",
          "How `bench step` routes tokens: as the router says, evenly, or skewed. On several "
          "ranks natural routing is timed beside the others.")
          .into([](RunConfig & c) -> auto& { return c.bench.routing; })
          .may_change(),
  };
}

}  // namespace troupe
