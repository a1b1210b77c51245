// What the sections are for.
#include "launch/config/schema_keys.h"

namespace troupe {

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
