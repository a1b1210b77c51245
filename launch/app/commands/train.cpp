// troupe train CONFIG [key=value...]: trains, under mpirun or alone.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"
#include "core/text/document_end.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"
#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "launch/config/resume.h"
#include "launch/config/setting_names.h"
#include "launch/job/stop_request.h"
#include "launch/metrics/progress.h"
#include "launch/metrics/work_line.h"
#include "launch/training/automatic_precision.h"
#include "launch/training/initial_weights.h"
#include "launch/training/input_fingerprints.h"
#include "launch/training/known_hashes.h"
#include "launch/training/memory_check.h"
#include "launch/training/resume_point.h"
#include "launch/training/trainer.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/comm/agreement.h"

namespace troupe {
namespace {

// The configuration that the run began with, or the one of the checkpoint that it starts from;
// empty for a new run.
std::string stored_configuration(const RunConfig& config, Communicator& world) {
  const std::string& resume = config.checkpoint.resume;
  if (resume == "never") return {};
  std::error_code error;
  const bool there = resume != "auto" && std::filesystem::exists(resume, error);
  // What the leader sees. A run goes on where the path that it began with is gone.
  if (!broadcast_text(there ? "there" : "", 0, world, "checkpoint choice").empty()) {
    return checkpoint::read_info(checkpoint::resolve(resume, world)).config;
  }
  const std::string file = config.run.dir + "/config.resolved.yaml";
  return std::filesystem::exists(file, error) ? read_config_file(file) : std::string();
}

void go_on_as_it_began(RunConfig& config, RankRuntime& runtime) {
  const std::string stored = stored_configuration(config, *runtime.world());
  if (stored.empty()) return;
  try {
    const RunConfig before = load_config_text(stored, config.run.dir, {}, 0).config;
    for (const std::string& sentence : keep_what_held(before, config)) log::info("{}", sentence);
  } catch (const Error&) {
    // A configuration that cannot be read is named when its checkpoint is.
  }
}

// Keeps the checkpoint's choice of precision where that is automatic. Refuses to go on with another
// model, data or optimizer than the checkpoint's.
void check_changes(RunConfig& config, const std::string& path, bool force, bool leader) {
  const checkpoint::Info info = checkpoint::read_info(path);
  RunConfig stored = load_config_text(info.config, path, {}, 0).config;
  stored.inputs = recorded_inputs(info.config);
  keep_precision(config, stored);
  const StateScalar* step = info.scalar("step");
  for (const std::string& warning :
       check_resume(stored, config, step != nullptr ? std::get<int64_t>(step->value) : 0, force)) {
    if (leader) log::warning("{}", warning);
  }
}

// Says on the leader how far the reading of a large text is, and ends it when the rank is asked to
// stop: there is nothing to save yet. A text that takes a moment is finished; then a step is saved.
class Reading {
 public:
  // what: "tokenising".
  Reading(const char* what, bool leader) : what_(what), leader_(leader) {}

  void operator()(const std::string& path, int64_t done, int64_t total) {
    constexpr std::chrono::seconds kMoment(1);
    if (stop_requested() && std::chrono::steady_clock::now() - started_ > kMoment) {
      fail(ExitCode::interrupted,
           "stopped while {} {}, before the first step; the same command starts again. "
           "`troupe data build` reads a text once for all",
           what_, path);
    }
    if (!leader_ || total == 0) return;
    if (path != path_) line_.emplace(stderr, Progress::live_on(stderr));
    path_ = path;
    line_->show(what_, fmt::format("{:.1f} MB", static_cast<double>(total) / 1e6), done, total);
  }

 private:
  const char* what_;
  bool leader_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::string path_;
  std::optional<WorkLine> line_;
};

TrainingData read_texts(RunConfig& config, const RankRuntime& runtime) {
  Reading tokenising("tokenising", runtime.leader());
  TrainingData data = open_training_data(config, std::ref(tokenising));
  const std::string joined =
      joined_documents(*data.tokenizer, config.data.separator, data.corpus.joined, key_names);
  if (runtime.leader() && !joined.empty()) log::warning("{}", joined);
  return data;
}

// Reads the texts again where the run that goes on joined its rows in another way.
void keep_old_ends(RunConfig& config, TrainingData& data, const std::string& checkpoint, bool force,
                   const RankRuntime& runtime) {
  const RunConfig stored =
      load_config_text(checkpoint::read_info(checkpoint).config, checkpoint, {}, 0).config;
  if (!keep_end_of_text(config, stored, force)) return;
  if (runtime.leader())
    log::warning("the run began before data.end_of_text: it goes on with {} as the end of texts",
                 config.data.end_of_text);
  data = read_texts(config, runtime);
}

// What the run learns from, for its checkpoints and against those that it goes on from.
std::vector<RecordedInput> fingerprints_of(const RunConfig& config, const TrainingData& data,
                                           const RunDirectory& directory, RankRuntime& runtime) {
  std::vector<Input> inputs = tokenizer_inputs(config, *data.tokenizer);
  std::ranges::move(text_inputs(config, data.corpus), std::back_inserter(inputs));
  Reading hashing("fingerprinting", runtime.leader());
  const auto watch = [&](int64_t done, int64_t total) { hashing(config.run.name, done, total); };
  return fingerprints(inputs, directory.file(kKnownHashesFile), true, *runtime.world(), watch);
}

// Nothing is left to train behind the checkpoint: one of the run itself, or the one that it was to
// begin with.
void say_finished(const RunConfig& config, int64_t step, const std::string& checkpoint,
                  const RunDirectory& directory) {
  std::error_code error;
  const bool own = std::filesystem::equivalent(std::filesystem::path(checkpoint).parent_path(),
                                               checkpoint::directory_of(directory.path()), error);
  const int64_t more = 2 * std::max(config.train.steps, step);
  if (own) {
    log::info("{} has already run its {} steps ({}). For more: train.steps={}", directory.path(),
              step, checkpoint, more);
  } else {
    log::info(
        "nothing to train: checkpoint.resume gives {}, which is at step {}, and train.steps, "
        "counted "
        "from the beginning, is {}. No step was made in {}. For more: train.steps={}",
        checkpoint, step, config.train.steps, directory.path(), more);
  }
}

int train(const RunConfig& given, RankRuntime& runtime, bool force) {
  RunConfig config = given;
  go_on_as_it_began(config, runtime);
  const bool bf16 = agree_on_precision(config, runtime);
  const DType chosen = config.model.compute;
  TrainingData data = read_texts(config, runtime);
  check_memory(config, runtime);
  check_stored_form(config);
  RunDirectory directory(config.run.dir, config.checkpoint.resume == "never", *runtime.world());
  const ResumePoint from = find_resume_point(config, directory, *runtime.world());
  const std::string& checkpoint = from.checkpoint;
  config.lineage = from.lineage;
  config.inputs = fingerprints_of(config, data, directory, runtime);
  if (!checkpoint.empty()) {
    check_changes(config, checkpoint, force, runtime.leader());
    keep_old_ends(config, data, checkpoint, force, runtime);
  }
  std::optional<InitialWeights> initial;
  if (checkpoint.empty() && config.init != "none") {
    initial = find_initial_weights(config, *runtime.world());
    config.lineage = {initial->ancestor};
  }
  if (config.model.compute != chosen) check_memory(config, runtime);
  const std::string slow = slow_precision(config, bf16, !checkpoint.empty());
  if (!slow.empty() && runtime.leader()) log::warning("{}", slow);
  Trainer trainer(config, data, runtime, directory, stop_requested);
  if (!checkpoint.empty()) trainer.resume(checkpoint);
  if (initial) trainer.begin_with(initial->checkpoint);
  if (trainer.finished()) {
    say_finished(config, trainer.completed_steps(), checkpoint, directory);
    return static_cast<int>(ExitCode::ok);
  }
  on_leader(*runtime.world(), "resolved configuration", [&] {
    checkpoint::begin_run(directory.path(),
                          std::filesystem::exists(directory.file("config.resolved.yaml")));
    write_file_atomically(directory.file("config.resolved.yaml"), resolved_yaml(config));
    for (const std::string& path :
         checkpoint::set_aside_newer(directory.path(), trainer.completed_steps())) {
      log::warning("{} lies after the step that training goes on from: renamed to {}.superseded",
                   path, path);
    }
  });
  return static_cast<int>(trainer.run());
}

int run(std::span<const std::string> args) {
  CommandLine line(
      "train", "CONFIG [key=value...] [options]",
      "Trains the model that a YAML file describes; key=value overrides one of its keys.");
  line.flag("dry-run", "check everything, data included, and show the configuration that would run")
      .flag("force", "resume although keys, texts or a tokenizer that must not change have changed")
      .positionals(1, SIZE_MAX);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  const ConfigWords words = config_words(arguments->positionals);

  RankRuntime runtime(words.file, words.overrides);
  LoadedConfig loaded = load_config(words.file, words.overrides, runtime.size(), Purpose::train,
                                    runtime.environment());
  if (runtime.leader()) {
    for (const std::string& warning : loaded.warnings) log::warning("{}", warning);
  }
  runtime.configure(loaded.config.runtime);
  if (arguments->flag("dry-run")) {
    agree_on_precision(loaded.config, runtime);
    TrainingData data = read_texts(loaded.config, runtime);
    check_memory(loaded.config, runtime);
    if (runtime.leader()) {
      const std::string resolved =
          resolved_yaml(loaded.config, {.folder = std::filesystem::current_path().string()});
      output::print("{}\n# data: {}\n", resolved, describe(data));
    }
    return 0;
  }
  return train(loaded.config, runtime, arguments->flag("force"));
}

}  // namespace

Command command_train() {
  Command command;
  command.place = 30;
  command.name = "train";
  command.arguments = "CONFIG [key=value...]";
  command.summary = "train a model";
  command.run = run;
  command.stops_softly = true;
  return command;
}

}  // namespace troupe
