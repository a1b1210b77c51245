// troupe ckpt export FILE|RUN --format hf --out DIR: a checkpoint for other programs.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/error.h"
#include "core/formats/safetensors_folder.h"
#include "core/io/atomic_file.h"
#include "core/text/json_text.h"
#include "core/text/tokenizer.h"
#include "launch/app/commands/ckpt/parts.h"
#include "launch/app/commands/ckpt/tokenizer_files.h"
#include "launch/app/output.h"
#include "launch/config/load.h"
#include "launch/config/setting_names.h"
#include "launch/metrics/progress.h"
#include "launch/metrics/work_line.h"
#include "models/convert/export.h"
#include "models/convert/hf_model.h"
#include "parallel/checkpoint/checkpoint.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string text_scalar(const checkpoint::Info& info, const std::string& name) {
  const StateScalar* scalar = info.scalar(name);
  const auto* text = scalar == nullptr ? nullptr : std::get_if<std::string>(&scalar->value);
  return text == nullptr ? "" : *text;
}

// Of the source that a checkpoint was imported from: the usual type, and that of other tensors.
struct SourceTypes {
  std::optional<StoredType> usual;
  std::map<std::string, StoredType> others;
};

SourceTypes parse_types(const std::string& text) {
  SourceTypes types;
  std::istringstream lines(text);
  std::string line;
  if (std::getline(lines, line)) types.usual = stored_type(line);
  while (std::getline(lines, line)) {
    const size_t blank = line.find(' ');
    const auto type = stored_type(line.substr(0, blank));
    if (blank != std::string::npos && type) types.others[line.substr(blank + 1)] = *type;
  }
  return types;
}

using TypeOf = std::function<StoredType(const std::string&, DType)>;

TypeOf export_type(const std::string& wanted, const SourceTypes& source) {
  static const std::map<std::string, StoredType> names = {
      {"f32", StoredType::f32}, {"bf16", StoredType::bf16}, {"f16", StoredType::f16}};
  if (const auto found = names.find(wanted); found != names.end())
    return [type = found->second](const std::string&, DType) { return type; };
  if (wanted != "keep")
    fail(ExitCode::usage, "ckpt export: --dtype is keep, f32, bf16 or f16, not {}", wanted);
  return [source](const std::string& name, DType here) {
    if (const auto found = source.others.find(name); found != source.others.end())
      return found->second;
    return source.usual.value_or(stored(here));
  };
}

// "5GB", "500MB"
int64_t shard_bytes(const std::string& text) {
  double number = 0;
  size_t end = 0;
  try {
    number = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  const std::string unit = text.substr(end);
  const std::map<std::string, double> units = {{"MB", 1e6}, {"GB", 1e9}};
  const auto found = units.find(unit);
  if (end == 0 || found == units.end() || !(number > 0) || number > 1e6) {
    fail(ExitCode::usage, "ckpt export: --shard-size is a number of MB or GB, like 5GB, not {}",
         text);
  }
  return static_cast<int64_t>(number * found->second);
}

// A folder that becomes DIR when it is whole. What an export that was killed left of it is removed.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path) : path_(path), temporary_(path + ".export") {
    std::error_code error;
    if (fs::exists(path, error))
      fail(ExitCode::usage, "ckpt export: --out {} exists. Give the name of a new folder", path);
    if (fs::exists(temporary_, error)) {
      if (!fs::exists(fs::path(temporary_) / kMark, error)) {
        fail(ExitCode::usage,
             "ckpt export: {} exists, where the export is made. Remove it, or give "
             "another --out",
             temporary_);
      }
      fs::remove_all(temporary_, error);
    }
    make_directories(temporary_);
    write_file_atomically(file(kMark), "");
  }
  ~NewFolder() {
    std::error_code error;
    if (!finished_) fs::remove_all(temporary_, error);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const std::string& temporary() const { return temporary_; }
  std::string file(const std::string& name) const { return (fs::path(temporary_) / name).string(); }
  void commit() {
    std::error_code error;
    fs::remove(file(kMark), error);
    sync_directory(temporary_);
    fs::rename(temporary_, path_, error);
    if (error) fail_io("rename", temporary_, error.value());
    finished_ = true;
    const fs::path parent = fs::absolute(path_).parent_path();
    sync_directory(parent.string());
  }

 private:
  static constexpr const char* kMark = ".troupe-export";
  std::string path_;
  std::string temporary_;
  bool finished_ = false;
};

void write_tokenizer(const RunConfig& config, const NewFolder& folder) {
  if (config.data.tokenizer == "byte") return;
  std::error_code error;
  const fs::path from = config.data.tokenizer;
  const fs::path directory = fs::is_directory(from, error) ? from : from.parent_path();
  copy_tokenizer_files(directory.string(), folder.temporary());
}

}  // namespace

CommandLine export_line() {
  CommandLine line("ckpt export", "FILE|RUN --format hf --out DIR [options]",
                   "writes a checkpoint as Hugging Face's library reads it");
  line.option("format", "NAME", "hf", "hf: config.json and safetensors")
      .option("out", "DIR", "", "the folder to be made")
      .option("family", "NAME", "auto", "class of the model; auto = the first that can say it")
      .option("dtype", "TYPE", "keep",
              "keep (of an imported checkpoint the types of its source), f32, bf16 or f16")
      .option("shard-size", "SIZE", "5GB", "at most so much in one file")
      .option("experts", "FORM", "single", "single: a tensor for each expert; fused: one for all")
      .flag("dry-run", "check everything and write nothing")
      .flag("json", "one JSON object on standard output")
      .positionals(1, 1);
  return line;
}

int ckpt_export(const Arguments& arguments) {
  if (arguments.text("format") != "hf")
    fail(ExitCode::usage, "ckpt export: --format is hf, not {}", arguments.text("format"));
  const bool dry = arguments.flag("dry-run");
  if (!arguments.given("out") && !dry)
    fail(ExitCode::usage, "ckpt export: --out is missing: the folder to be made");
  const std::string& form = arguments.text("experts");
  if (form != "single" && form != "fused")
    fail(ExitCode::usage, "ckpt export: --experts is single or fused, not {}", form);
  const int64_t shard = shard_bytes(arguments.text("shard-size"));
  const std::string path = checkpoint_file(arguments.positionals[0]);
  const checkpoint::Info info = checkpoint::read_info(path);
  const SourceTypes types = parse_types(text_scalar(info, "source.types"));
  const TypeOf type = export_type(arguments.text("dtype"), types);
  RunConfig config =
      load_config_text(info.config, path, {"parallel={dp: 1}"}, 1, Purpose::eval).config;
  if (config.model.vocab == 0)
    resolve_vocab(config, load_tokenizer(config.data.tokenizer, {"none", key_names})->vocab_size());
  const std::string source = text_scalar(info, "source.config");
  std::string wanted = arguments.text("family");
  if (wanted == "auto" && !source.empty()) {
    const HfFamily* stored = nullptr;
    read_hf_config(source, "the stored config.json", &stored);
    if (stored->lacks(config.model).empty()) wanted = stored->model_type;
  }
  const HfFamily& family = hf_family_for(config.model, wanted);
  const HfNaming naming{form == "fused", family.prefix};
  const checkpoint::Stored from(path);
  const ExportPlan plan = plan_export(from, family.links(config.model, naming), type, shard);
  if (!dry) {
    NewFolder folder(arguments.text("out"));
    {
      WorkLine line(stderr, Progress::live_on(stderr));
      write_export(plan, from, folder.temporary(), [&](int64_t done) {
        line.show("writing", human_bytes(plan.bytes_read), done, plan.bytes_read);
      });
    }
    const StoredType usual = plan.files[0].tensors[0].type;
    write_file_atomically(folder.file("config.json"),
                          hf_config_text(family, config.model, source, usual));
    if (const std::string index = export_index(plan); !index.empty())
      write_file_atomically(folder.file(kWeightsIndex), index);
    write_tokenizer(config, folder);
    folder.commit();
  }
  if (arguments.flag("json")) {
    const ordered_json summary = {
        {"folder", arguments.text("out")}, {"family", family.model_type},
        {"files", plan.files.size()},      {"parameters", plan.parameters},
        {"bytes_read", plan.bytes_read},   {"bytes_written", plan.bytes_written},
        {"changed", plan.changed}};
    output::print("{}\n", json_text(summary, 2));
    return 0;
  }
  output::print(
      "family      {} ({})\nparameters  {}\nread        {}\nwritten     {} in {} file{}\n",
      family.model_type, family.architecture, plan.parameters, human_bytes(plan.bytes_read),
      human_bytes(plan.bytes_written), plan.files.size(), plan.files.size() == 1 ? "" : "s");
  for (const auto& [change, count] : plan.changed)
    output::print("changed     {}: {} elements\n", change, count);
  if (dry) output::print("dry run: nothing was written\n");
  return 0;
}

}  // namespace troupe
