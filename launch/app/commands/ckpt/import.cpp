// troupe ckpt import SRC --out FILE.h5: a model of another program becomes a checkpoint.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/formats/source_file.h"
#include "core/io/atomic_file.h"
#include "core/text/json_text.h"
#include "launch/app/commands/ckpt/parts.h"
#include "launch/app/commands/ckpt/tokenizer_files.h"
#include "launch/app/output.h"
#include "launch/config/imported_run.h"
#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "launch/config/setting_names.h"
#include "launch/metrics/progress.h"
#include "launch/metrics/work_line.h"
#include "launch/training/input_fingerprints.h"
#include "models/convert/hf_model.h"
#include "parallel/comm/self_communicator.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

ImportType import_type(const std::string& text) {
  if (text == "keep") return ImportType::keep;
  if (text == "f32") return ImportType::f32;
  if (text == "bf16") return ImportType::bf16;
  fail(ExitCode::usage, "ckpt import: --dtype is keep, f32 or bf16, not {}", text);
}

void check_new(const std::string& option, const std::string& path) {
  std::error_code error;
  if (fs::exists(path, error))
    fail(ExitCode::usage, "ckpt import: {} {} exists. Give the name of a new file", option, path);
}

// A file of a kind that is known and not to be imported, by its first bytes.
void refuse_other_kinds(const std::string& where) {
  std::error_code error;
  if (!fs::is_regular_file(where, error)) return;
  std::string begin(16, '\0');
  begin.resize(static_cast<size_t>(
      open_source(where).read_at(0, begin.data(), static_cast<int64_t>(begin.size()))));
  if (begin.starts_with("troupe checkpoin")) {
    fail(ExitCode::usage,
         "ckpt import: {} is a checkpoint of Troupe already: write it into model.init to begin a "
         "training with its weights",
         where);
  }
  if (begin.starts_with("GGUF"))
    fail(ExitCode::usage, "ckpt import: {} is a GGUF file, which is not read", where);
}

ordered_json summary_json(const HfModel& source, const ImportPlan& plan, const std::string& out) {
  return {{"file", out},
          {"family", source.family->model_type},
          {"tensors", plan.tensors.size()},
          {"parameters", plan.parameters},
          {"bytes_read", plan.bytes_read},
          {"bytes_written", plan.bytes_written},
          {"changed", plan.changed},
          {"left_out", plan.left_out},
          {"notes", source.notes}};
}

void print_summary(const HfModel& source, const ImportPlan& plan) {
  output::print("family      {} ({})\ntensors     {} here, {} in {}\nparameters  {}\n",
                source.family->model_type, source.family->architecture, plan.tensors.size(),
                source.weights->tensors().size(), source.folder, plan.parameters);
  output::print("read        {}\nwritten     {}\n", human_bytes(plan.bytes_read),
                human_bytes(plan.bytes_written));
  for (const auto& [change, count] : plan.changed)
    output::print("changed     {}: {} elements\n", change, count);
  for (const std::string& line : plan.left_out) output::print("left out    {}\n", line);
  for (const std::string& line : source.notes) output::print("left out    {}\n", line);
}

}  // namespace

CommandLine import_line() {
  CommandLine line(
      "ckpt import", "SRC --out FILE.h5 [options]",
      "makes a checkpoint of a model in the format of Hugging Face's library: a folder "
      "with config.json and safetensors");
  line.option("out", "FILE.h5", "", "the checkpoint to be made")
      .option("config", "OUT.yaml", "",
              "write a configuration that trains the model on, with the text to be filled in")
      .option("dtype", "TYPE", "keep", "keep, f32 or bf16: type of the stored weights")
      .flag("dry-run", "check everything and write nothing")
      .flag("json", "one JSON object on standard output")
      .positionals(1, 1);
  return line;
}

int ckpt_import(const Arguments& arguments) {
  const std::string& where = arguments.positionals[0];
  const bool dry = arguments.flag("dry-run");
  const std::string out = arguments.given("out") ? arguments.text("out") : "";
  if (out.empty() && !dry)
    fail(ExitCode::usage, "ckpt import: --out is missing: the checkpoint to be made");
  const ImportType type = import_type(arguments.text("dtype"));
  if (!out.empty()) check_new("--out", out);
  if (arguments.given("config")) check_new("--config", arguments.text("config"));
  refuse_other_kinds(where);
  const HfModel source = open_hf_model(where);
  const ImportPlan plan = plan_hf_import(source, type);
  if (!dry) {
    ImportedRun run;
    run.model = source.model;
    run.name = fs::path(out).stem().string();
    run.weights = out;
    run.source = where;
    run.tokenizer = copy_tokenizer(source.folder, out);
    RunConfig config = imported_config(run, out);
    if (!run.tokenizer.empty()) {
      const auto tokenizer = load_tokenizer(config.data.tokenizer, {"none", key_names});
      config.inputs =
          fingerprints(tokenizer_inputs(config, *tokenizer), "", false, *self_communicator());
    }
    const std::vector<StateScalar> scalars = {{"step", int64_t{0}},
                                              {"tokens", int64_t{0}},
                                              {"source.config", source.config},
                                              {"source.types", plan.source_types}};
    const std::string folder = fs::absolute(out).parent_path().string();
    {
      WorkLine line(stderr, Progress::live_on(stderr));
      write_import(plan, *source.weights, out,
                   resolved_yaml(config, {.folder = folder, .for_checkpoint = true}), scalars,
                   [&](int64_t done) {
                     line.show("reading", human_bytes(plan.bytes_read), done, plan.bytes_read);
                   });
    }
    if (arguments.given("config"))
      write_file_atomically(arguments.text("config"), imported_yaml(run, arguments.text("config")));
  }
  if (arguments.flag("json")) {
    output::print("{}\n", json_text(summary_json(source, plan, out), 2));
    return 0;
  }
  print_summary(source, plan);
  if (dry) output::print("dry run: nothing was written\n");
  return 0;
}

}  // namespace troupe
