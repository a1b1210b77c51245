// troupe ckpt ls DIR | show FILE | verify FILE|DIR | diff A B | merge FILE OUT | import SRC |
// export FILE
#include <fmt/core.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "core/io/open_elsewhere.h"
#include "core/text/json_text.h"
#include "launch/app/actions.h"
#include "launch/app/command.h"
#include "launch/app/commands/ckpt/parts.h"
#include "launch/app/output.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/compare.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/structure_check.h"

namespace troupe {
namespace {

using nlohmann::json;

void print(const json& value) {
  // Text of a file may be any bytes: what is not UTF-8 is replaced, never an exception.
  output::print("{}\n", json_text(value, 2));
}

// The checkpoint files of a run directory; Error(checkpoint) when there are none.
std::vector<checkpoint::StepFile> files_of(const std::string& dir) {
  std::error_code error;
  if (!std::filesystem::is_directory(dir, error)) {
    const bool file = std::filesystem::exists(dir, error);
    fail(ExitCode::checkpoint, "no run directory at {}: it {}. Give the run.dir of a training.",
         dir, file ? "is a file" : why_absent(dir));
  }
  auto files = checkpoint::list(dir);
  if (files.empty()) {
    fail(ExitCode::checkpoint, "no checkpoint in {}: it has no complete checkpoints/step-*.h5.",
         dir);
  }
  return files;
}

}  // namespace

std::string checkpoint_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return files_of(path).back().path;
  return path;
}

namespace {

// Of a checkpoint that cannot be read.
const char* word_for(const Error& error) {
  return dynamic_cast<const OpenElsewhere*>(&error) != nullptr ? "in use" : "damaged";
}

int64_t element_count(const checkpoint::Info& info, const std::string& folder) {
  int64_t out = 0;
  for (const auto& tensor : info.tensors) {
    if (tensor.name.compare(0, folder.size(), folder) == 0) out += tensor.shape.elements();
  }
  return out;
}

int list_files(const Arguments& arguments) {
  const auto files = files_of(arguments.positionals[0]);
  json rows = json::array();
  bool damaged = false;
  if (!arguments.flag("json"))
    output::print("{:>10}  {:>10}  {:>12}  file\n", "step", "size", "tensors");
  for (const auto& file : files) {
    json row = {{"step", file.step}, {"file", file.path}};
    try {
      const checkpoint::Info info = checkpoint::read_info(file.path);
      row["bytes"] = info.file_bytes;
      row["tensors"] = info.tensors.size();
      row["parameters"] = element_count(info, "parameters/");
      if (!arguments.flag("json")) {
        output::print("{:>10}  {:>10}  {:>12}  {}\n", file.step, human_bytes(info.file_bytes),
                      info.tensors.size(), file.path);
      }
    } catch (const Error& error) {
      damaged = true;
      row["error"] = error.what();
      if (!arguments.flag("json")) {
        output::print("{:>10}  {:>10}  {:>12}  {}\n            {}\n", file.step, word_for(error),
                      "-", file.path, error.what());
      }
    }
    rows.push_back(std::move(row));
  }
  if (arguments.flag("json")) print({{"checkpoints", rows}});
  return static_cast<int>(damaged ? ExitCode::checkpoint : ExitCode::ok);
}

json scalar_json(const StateScalar& scalar) {
  return std::visit([](const auto& value) { return json(value); }, scalar.value);
}

json info_json(const checkpoint::Info& info, const std::string& path) {
  json scalars = json::object();
  for (const auto& scalar : info.scalars) scalars[scalar.name] = scalar_json(scalar);
  json tensors = json::array();
  for (const auto& tensor : info.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"type", name(tensor.dtype)},
                       {"shape", std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end())},
                       {"bytes", tensor.bytes},
                       {"xxh3_128", tensor.digest.hex()}});
  }
  return {{"file", path},
          {"format_version", info.format_version},
          {"bytes", info.file_bytes},
          {"shards", info.shards},
          {"scalars", scalars},
          {"tensors", tensors},
          {"config", info.config}};
}

int show(const Arguments& arguments) {
  if (is_foreign(arguments.positionals[0]) && !arguments.flag("config"))
    return show_foreign(arguments.positionals[0], arguments.flag("json"));
  const std::string path = checkpoint_file(arguments.positionals[0]);
  const checkpoint::Info info = checkpoint::read_info(path);
  if (arguments.flag("json")) {
    print(info_json(info, path));
    return 0;
  }
  if (arguments.flag("config")) {
    output::print("{}", info.config);
    return 0;
  }
  output::print("file        {}\nformat      {}\nsize        {}{}\nparameters  {}\n\n", path,
                info.format_version, human_bytes(info.file_bytes),
                info.shards > 0 ? fmt::format(" in {} shards", info.shards) : "",
                element_count(info, "parameters/"));
  for (const auto& scalar : info.scalars) {
    const std::string value = checkpoint::text(scalar);
    output::print("{:<24}  {}\n", scalar.name,
                  value.size() <= 60 ? value : fmt::format("{} bytes of text", value.size()));
  }
  size_t width = 6;
  for (const auto& tensor : info.tensors) width = std::max(width, tensor.name.size());
  output::print("\n{:<{}}  {:<4}  {:>18}  {:>10}  digest\n", "tensor", width, "type", "shape",
                "size");
  for (const auto& tensor : info.tensors) {
    output::print("{:<{}}  {:<4}  {:>18}  {:>10}  {}\n", tensor.name, width, name(tensor.dtype),
                  tensor.shape.text(), human_bytes(tensor.bytes), tensor.digest.hex());
  }
  return 0;
}

// What is wrong with a file; empty when it is good.
struct Finding {
  std::string word = "good";
  std::string problem;
};

Finding look_at(const std::string& path) {
  try {
    checkpoint::verify(path);
  } catch (const Error& error) {
    return {word_for(error), error.what()};
  }
  const std::string problem = checkpoint::check_structure(path);
  return {problem.empty() ? "good" : "damaged", problem};
}

int verify(const Arguments& arguments) {
  std::vector<std::string> paths = {arguments.positionals[0]};
  std::error_code error;
  if (std::filesystem::is_directory(arguments.positionals[0], error)) {
    paths.clear();
    for (const auto& file : files_of(arguments.positionals[0])) paths.push_back(file.path);
  }
  json rows = json::array();
  int bad = 0;
  for (const std::string& path : paths) {
    const auto [word, problem] = look_at(path);
    bad += problem.empty() ? 0 : 1;
    rows.push_back({{"file", path}, {"good", problem.empty()}});
    if (!problem.empty()) rows.back()["error"] = problem;
    if (!arguments.flag("json")) {
      output::print("{:<7}  {}\n", word, problem.empty() ? path : problem);
    }
  }
  if (arguments.flag("json")) print({{"checkpoints", rows}, {"damaged", bad}});
  return static_cast<int>(bad > 0 ? ExitCode::checkpoint : ExitCode::ok);
}

json difference_json(const checkpoint::TensorDifference& tensor) {
  if (!tensor.problem.empty()) return {{"name", tensor.name}, {"problem", tensor.problem}};
  // JSON has no infinity (a NaN against a number): null.
  return {{"name", tensor.name},
          {"relative", tensor.relative},
          {"absolute", tensor.absolute},
          {"elements", tensor.elements}};
}

void print_difference(const checkpoint::Comparison& result) {
  if (result.config_differs)
    output::print("the configuration differs (troupe ckpt show --config)\n");
  for (const std::string& scalar : result.scalars) output::print("value {}\n", scalar);
  if (result.tensors.empty()) {
    output::print("all {} tensors are equal in every bit\n", result.compared);
    return;
  }
  output::print("{} of {} tensors differ\n", result.tensors.size(), result.compared);
  const auto& first = result.tensors.front();
  output::print(
      "first       {}: {}\n", first.name,
      first.problem.empty()
          ? fmt::format("{} elements, largest relative difference {:.3e}, absolute {:.3e}",
                        first.elements, first.relative, first.absolute)
          : first.problem);
  if (const auto* largest = result.largest()) {
    output::print("largest     {}: relative difference {:.3e}, absolute {:.3e}\n", largest->name,
                  largest->relative, largest->absolute);
  }
}

int diff(const Arguments& arguments) {
  const auto result = checkpoint::compare(checkpoint_file(arguments.positionals[0]),
                                          checkpoint_file(arguments.positionals[1]));
  if (arguments.flag("json")) {
    json tensors = json::array();
    for (const auto& tensor : result.tensors) tensors.push_back(difference_json(tensor));
    const auto* largest = result.largest();
    print({{"equal", result.equal()},
           {"compared", result.compared},
           {"config_differs", result.config_differs},
           {"scalars", result.scalars},
           {"tensors", tensors},
           {"first", result.tensors.empty() ? json() : json(result.tensors.front().name)},
           {"largest", largest == nullptr ? json() : difference_json(*largest)}});
  } else {
    print_difference(result);
  }
  return static_cast<int>(result.equal() ? ExitCode::ok : ExitCode::verification);
}

int merge(const Arguments& arguments) {
  const std::string from = checkpoint_file(arguments.positionals[0]);
  const std::string& into = arguments.positionals[1];
  std::error_code error;
  if (std::filesystem::exists(into, error)) {
    fail(ExitCode::usage, "ckpt merge: {} exists. Give the name of a new file.", into);
  }
  const int64_t bytes = checkpoint::merge(from, into);
  if (arguments.flag("json")) {
    print({{"from", from}, {"file", into}, {"bytes", bytes}});
  } else {
    output::print("{} written, {}\n", into, human_bytes(bytes));
  }
  return 0;
}

std::vector<Action> actions() {
  const auto line = [](const std::string& name, const char* operands, size_t count,
                       const char* summary) {
    CommandLine out("ckpt " + name, std::string(operands) + " [options]", summary);
    out.flag("json", "one JSON object on standard output").positionals(count, count);
    return out;
  };
  CommandLine show_line = line(
      "show", "FILE|DIR|SRC", 1,
      "what a checkpoint holds, of a directory the newest; or a model in the format of another "
      "program");
  show_line.flag("config", "print the configuration that it was trained with instead");
  return {
      {"ls", line("ls", "DIR", 1, "the checkpoints of a run, oldest first"), list_files},
      {"show", show_line, show},
      {"verify",
       line("verify", "FILE|DIR", 1,
            "reads every byte and compares all digests, then lets HDF5 read the structure; code 4 "
            "when a file is damaged"),
       verify},
      {"diff",
       line("diff", "A B", 2,
            "names the first tensor that differs and the largest relative difference, max|a-b| / "
            "max(max|a|, 1e-3 x RMS of the tensors in the same folder); code 8 when they differ"),
       diff},
      {"merge",
       line("merge", "FILE|DIR OUT", 2,
            "makes one file of a checkpoint in several (checkpoint.shard_above)"),
       merge},
      {"import", import_line(), ckpt_import},
      {"export", export_line(), ckpt_export}};
}

int run(std::span<const std::string> args) { return run_action("ckpt", actions(), args); }

}  // namespace

Command command_ckpt() {
  Command command;
  command.place = 60;
  command.name = "ckpt";
  command.arguments = "ls|show|verify|diff|merge|import|export ...";
  command.summary = "look into checkpoints, and convert them";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
