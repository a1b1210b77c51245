// Keys of data, optimizer, schedule, train, parallel and the machine sections.
#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"
#include "launch/config/variants.h"

namespace troupe {

std::vector<Key> data_keys() {
  return {
      KeyMaker("data.tokenizer", ValueKind::path,
               "byte, a folder with a tokenizer.json or with vocab.json and merges.txt (and what "
               "lies beside them), or a tokenizer.json.")
          .words({"byte"})
          .required(),
      KeyMaker("data.train", ValueKind::path,
               "What is trained on: a text file, the prefix of a .bin/.idx pair, a folder, or a "
               "list of {path, weight}.")
          .also("a list of {path, weight}")
          .required(),
      KeyMaker("data.train[].path", ValueKind::path, "One source of the mixture.").required(),
      real_key("data.train[].weight", "Its share of the samples, relative to the others.")
          .value(1.0)
          .above(0)
          .to(1e9),
      KeyMaker("data.val", ValueKind::path,
               "Held-out text; none = the last val_fraction of data.train.")
          .words({"none"})
          .word("none"),
      real_key("data.val_fraction",
               "The last part of the training data, held out: never trained on; 0 = none.")
          .value(0.1)
          .from(0)
          .to(0.9),
      KeyMaker("data.field", ValueKind::text, "Field of a JSON line that holds the text.")
          .value(std::string("text")),
      choice_key(
          "data.format", {"auto", "text", "jsonl", "by_name"}, "auto",
          "What files hold, compressed (gzip, zstd, xz, bzip2) or not. auto: JSON lines where "
          "every complete line of the first MiB is an object with the field (or every row of a "
          "JSON text sequence), else text; other JSON with the field is refused. "
          "by_name: as runs that began before this key, *.jsonl and *.ndjson are JSON lines, "
          "all else is text as it stands."),
      choice_key("data.invalid_utf8", {"keep", "error", "replace"}, "keep",
                 "Bytes of a text that are no UTF-8 are counted and kept, an error, or replaced by "
                 "U+FFFD. Files that are no text or have more than 1 % of such bytes are refused "
                 "unless keep is written."),
      KeyMaker("data.end_of_text", ValueKind::text,
               "The token behind each row of JSON lines and each file of a folder, at which "
               "`generate` stops. auto = what the tokenizer's files say (tokenizer_config.json, "
               "special_tokens_map.json, generation_config.json, config.json), else a special "
               "token of a known name.")
          .words({"auto", "none"})
          .word("auto"),
      KeyMaker("data.separator", ValueKind::text,
               "A text behind each row and file instead, for tokenizers without an end-of-text "
               "token; such as \"\\n\". It is trained on, but is no byte of text in bits per byte.")
          .with_line_breaks()
          .words({"none"})
          .word("none"),
      flag_key("data.mask_documents", false,
               "Attention does not cross the ends of documents, and the first token of a document "
               "is not predicted."),
  };
}

std::vector<Key> optimizer_keys() {
  const std::vector<Variant> variants = optimizer_variants();
  std::vector<Key> keys{choice_key("optimizer.type", names(variants), "adamw",
                                   "The update rule; each type has options of its own.")};
  const auto declared = [&](const std::string& name) {
    for (const Variant& variant : variants) {
      for (const Field& field : variant.fields) {
        if (field.name == name) return true;
      }
    }
    return false;
  };
  if (!declared("lr")) {
    keys.push_back(real_key("optimizer.lr", "Peak learning rate.").value(1e-3).above(0).to(1e3));
  }
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      keys.push_back(key_of_field("optimizer", variant.name, field));
    }
  }
  if (!declared("clip")) {
    keys.push_back(
        real_key("optimizer.clip", "Largest global norm of the gradient; none or 0 = no clipping.")
            .words({"none"})
            .value(1.0)
            .from(0)
            .to(1e9));
  }
  keys.push_back(
      KeyMaker("optimizer.groups", ValueKind::choice,
               "Parameters that are updated in another way, by their names in checkpoints: a list "
               "of {match, lr_scale, weight_decay}, or none. The first group that matches counts.")
          .also("a list of {match, lr_scale, weight_decay}")
          .words({"none"})
          .word("none"));
  keys.push_back(KeyMaker("optimizer.groups[].match", ValueKind::text,
                          "Pattern of whole names, as a shell matches files: * any text, ? one "
                          "character, [0-3] one of these; such as \"*.router.*\". One that "
                          "matches no parameter is an error.")
                     .required());
  keys.push_back(real_key("optimizer.groups[].lr_scale", "Times the learning rate of each step.")
                     .value(1.0)
                     .from(0)
                     .to(1e3));
  keys.push_back(real_key("optimizer.groups[].weight_decay",
                          "Instead of optimizer.weight_decay; norms and biases have none in any "
                          "group. same = optimizer.weight_decay.")
                     .words({"same"})
                     .word("same")
                     .from(0)
                     .to(100));
  return keys;
}

std::vector<Key> schedule_keys() {
  const std::vector<Variant> variants = schedule_variants();
  std::vector<Key> keys{
      choice_key("schedule.type", names(variants), "cosine",
                 "How the learning rate moves; all begin with a linear warm-up.")};
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      Key key = key_of_field("schedule", variant.name, field);
      key.on_resume = OnResume::fixed;  // a resumed run goes on along the same curve
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

std::vector<Key> train_keys() {
  return {
      integer_key("train.steps", "Optimizer steps of the whole run.")
          .required()
          .from(1)
          .to(1e12)
          .may_change()
          .unit("steps"),
      integer_key("train.global_batch", "Sequences per step, over all ranks.")
          .required()
          .from(1)
          .to(1 << 24)
          .unit("sequences"),
      integer_key("train.micro_batch",
                  "Sequences of one forward pass on one data rank; global_batch must be a multiple "
                  "of dp x micro_batch. auto = global_batch / dp.")
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
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 20)
          .may_change(),
      degree("parallel.tp",
             "Ranks that share each matrix of attention and dense layers; divides the heads."),
      KeyMaker("parallel.sp", ValueKind::boolean, "Sequence parallelism. auto = (tp > 1).")
          .words({"auto"})
          .word("auto")
          .may_change(),
      degree("parallel.cp", "Ranks that share each sequence."),
      degree("parallel.pp", "Pipeline stages."),
      degree("parallel.virtual_stages", "Chunks per pipeline rank."),
      degree("parallel.ep",
             "Ranks that share the experts of a layer. ep x etp divides dp x cp x tp, ep the "
             "experts."),
      degree("parallel.etp", "Ranks that share each expert; divides moe.ffn_dim."),
      integer_key(
          "parallel.zero",
          "Sharded over data ranks: 0 = nothing, 1 = optimizer state, 2 = gradients too, 3 = "
          "parameters too.")
          .value(int64_t{0})
          .from(0)
          .to(3)
          .may_change(),
      choice_key("parallel.schedule", {"gpipe", "1f1b", "interleaved", "zero_bubble"}, "1f1b",
                 "Order of pipeline work.")
          .may_change(),
      choice_key("parallel.cp_kind", {"ring", "all_to_all"}, "ring",
                 "How context parallel ranks attend.")
          .may_change(),
      choice_key("parallel.ep_kind", {"flat", "hierarchical"}, "flat",
                 "How tokens travel to experts on other nodes.")
          .may_change(),
      integer_key("parallel.ranks_per_node", "Ranks of one machine. auto = found.")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 20)
          .may_change(),
  };
}

std::vector<Key> machine_keys() {
  return {
      choice_key("precision.compute", {"f64", "f32", "bf16"}, "f32",
                 "Type of activations and products. Main weights, gradients and moments are f32 "
                 "(f64 under f64). auto = bf16 where the processor of every rank multiplies bf16, "
                 "else f32; a run that goes on keeps the choice that it began with.")
          .words({"auto"}),
      integer_key("checkpoint.every", "Steps between checkpoints; 0 = only the last step.")
          .value(int64_t{200})
          .from(0)
          .to(1e12)
          .may_change()
          .unit("steps"),
      integer_key("checkpoint.keep",
                  "Newest checkpoints that are kept; 0 = all. Superseded ones count and go first. "
                  "Only what this run made and nothing refers to is removed.")
          .value(int64_t{3})
          .from(0)
          .to(1000000)
          .may_change(),
      KeyMaker("checkpoint.resume", ValueKind::path,
               "auto = go on from the newest complete checkpoint of run.dir; never = begin at step "
               "0; or the path of a checkpoint or a run: go on from the newest checkpoint of "
               "run.dir that descends from it, or begin with it.")
          .words({"auto", "never"})
          .word("auto")
          .may_change(),
      integer_key("checkpoint.shard_above",
                  "A checkpoint with more bytes of tensors is written as one file for each rank "
                  "that writes, beside a manifest; one with less as one file.")
          .value(int64_t{1} << 30)
          .from(0)
          .to(1e18)
          .may_change()
          .unit("bytes"),
      flag_key("checkpoint.async", true,
               "Training waits only while the state is copied; threads write the copy meanwhile. "
               "The copy takes memory (`troupe check`). false = it waits until all is on the disk.")
          .may_change(),
      integer_key("eval.every", "Steps between evaluations on held-out text; 0 = never.")
          .value(int64_t{200})
          .from(0)
          .to(1e12)
          .may_change()
          .unit("steps"),
      integer_key(
          "eval.tokens",
          "Held-out tokens of one evaluation, in windows evenly spaced over all held-out text; all "
          "= the whole of it.")
          .words({"all"})
          .word("all")
          .from(1)
          .to(1e15)
          .may_change()
          .unit("tokens"),
      integer_key("logging.every", "Steps between rows of metrics.")
          .value(int64_t{10})
          .from(1)
          .to(1e12)
          .may_change()
          .unit("steps"),
      flag_key("logging.tensorboard", true, "Also write TensorBoard event files.").may_change(),
      integer_key("runtime.threads",
                  "Threads of each rank. auto = OMP_NUM_THREADS, else usable cores / ranks of the "
                  "machine.")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(4096)
          .may_change(),
      KeyMaker("runtime.timeout", ValueKind::duration,
               "Longest wait for another rank before the run is ended with code 7.")
          .value(int64_t{600000})
          .may_change(),
      flag_key(
          "runtime.check_collectives", false,
          "Compare what the ranks are about to do before every collective and end the run with "
          "code 7 at the first difference, naming both call sites. For finding bugs: each "
          "collective waits for one more message.")
          .may_change(),
      choice_key(
          "bench.routing", {"natural", "balanced", "zipf"}, "natural",
          "How `bench step` routes tokens: as the router says, evenly, or skewed. On several "
          "ranks natural routing is timed beside the others.")
          .may_change(),
  };
}

std::vector<std::pair<std::string, std::string>> section_help() {
  return {
      {"run", "The run itself: name, directory, seed."},
      {"model", "The shape of the model."},
      {"moe", "Experts. Without this section (or with `moe: none`) every layer is dense."},
      {"moe.layers",
       "Which layers have experts: {every: n, first_dense: d}, or a list of numbers."},
      {"moe.router",
       "How tokens find their experts: a mapping {type: ..., options}, or a list of such mappings, "
       "each with `layers: [..]`, when layers differ."},
      {"moe.group", "Which tokens compete for an expert's capacity."},
      {"moe.balance", "Loss terms that keep the experts evenly loaded."},
      {"data",
       "Text: where it is and how it becomes tokens. Paths are relative to the file; $NAME, "
       "${NAME} "
       "and ~/ in them are put in."},
      {"data.train", "What is trained on."},
      {"optimizer", "The update rule."},
      {"schedule", "The learning rate over the steps."},
      {"train", "Length of the run and size of a step."},
      {"parallel", "How the ranks share the work."},
      {"precision", "Number formats."},
      {"checkpoint", "When the state is saved and what a start resumes."},
      {"eval", "Evaluation on held-out text while training."},
      {"logging", "What is written while training."},
      {"runtime", "Threads and deadlines."},
      {"bench", "Read only by `troupe bench`."},
  };
}

}  // namespace troupe
