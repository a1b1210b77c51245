#include "launch/config/load.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

#include "core/base/error.h"
#include "core/text/byte_escape.h"
#include "launch/config/build.h"
#include "launch/config/override.h"
#include "launch/config/reader.h"
#include "launch/config/recorded_folder.h"
#include "launch/config/resolved.h"
#include "launch/config/rules.h"
#include "launch/config/scalar.h"
#include "launch/config/yaml.h"

namespace troupe {

std::string read_config_file(const std::string& file) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_directory(file, error)) {
    fail(ExitCode::usage, "{} is a directory; name the YAML file of the configuration", file);
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    fail(ExitCode::usage, "configuration {} cannot be read: {}; check the path", file,
         std::strerror(errno));
  }
  std::string text(kMaxYamlBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

int smallest_world(const ConfigValues& values) {
  const int64_t tokens = values.integer("parallel.tp") * values.integer("parallel.cp");
  const int64_t pp = values.integer("parallel.pp");
  const int64_t sharing = values.integer("parallel.ep") * values.integer("parallel.etp");
  // The ranks of a stage are a multiple of cp x tp and of ep x etp.
  const int64_t stage = values.is_word("parallel.dp", "auto")
                            ? std::lcm(tokens, sharing)
                            : values.integer("parallel.dp") * tokens;
  return static_cast<int>(std::min<int64_t>(stage * pp, 1 << 24));
}

namespace {

// Words of the command line are bytes: a value that is no text is given as it would be stored.
std::string as_text(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  const std::string value = equals == std::string::npos ? "" : assignment.substr(equals + 1);
  const bool yaml = value.find_first_of("[{\"'!") == 0;
  if (yaml || value.starts_with("bytes:") || escape_bytes(value) == value) return assignment;
  return assignment.substr(0, equals + 1) + format_text(value);
}

// File and command line merged, without the rules between values.
ConfigValues merged_values(const std::string& text, const std::string& file,
                           const std::vector<std::string>& overrides,
                           const Environment& environment, std::vector<Problem>& found) {
  YamlNode root;
  try {
    root = parse_yaml(without_record(text), Source::file);
  } catch (const YamlError& error) {
    throw Error(ExitCode::usage, message({error.problem()}, file));
  }
  if (root.is_mapping()) {
    std::vector<std::string> seen;
    for (const std::string& assignment : overrides) {
      apply_override(root, as_text(assignment), found, seen);
    }
  }
  return read_values(root, file, found, {environment, !is_stored(text)});
}

// A stored configuration that does not know a key was made when this held.
void set_what_held(ConfigValues& values) {
  if (values.find("data.format")->place.source == Source::none)
    values.replace("data.format", std::string("by_name"));
}

}  // namespace

LoadedConfig load_config_text(const std::string& text, const std::string& file,
                              const std::vector<std::string>& overrides, int world, Purpose purpose,
                              const Environment& environment) {
  std::vector<Problem> found;
  ConfigValues values = merged_values(text, file, overrides, environment, found);
  if (values.entries().empty()) throw Error(ExitCode::usage, message(std::move(found), file));
  if (world == 0) world = smallest_world(values);
  std::vector<std::string> missing = find_moved_files(values, text);
  if (!recorded_folder(text).empty()) set_what_held(values);
  LoadedConfig loaded{build_config(std::move(values), world), {}};
  loaded.config.data.missing = std::move(missing);
  for (Problem& problem : problems(loaded.config, world, purpose)) {
    found.push_back(std::move(problem));
  }
  if (!found.empty()) throw Error(ExitCode::usage, message(std::move(found), file));
  if (loaded.config.data.tokenizer == "byte") resolve_vocab(loaded.config, 256);
  loaded.warnings = warnings(loaded.config);
  return loaded;
}

void check_stored_form(const RunConfig& config) {
  const std::string text = resolved_yaml(config, {.for_checkpoint = true});
  try {
    load_config_text(text, config.run.dir + "/checkpoints/step.h5", {}, 0);
  } catch (const Error& error) {
    fail(error.code(), "a checkpoint with this configuration could not be read again:\n{}",
         error.what());
  }
}

LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides,
                         int world, Purpose purpose, const Environment& environment) {
  return load_config_text(read_config_file(file), file, overrides, world, purpose, environment);
}

std::map<std::string, std::string> path_variables(const std::string& file,
                                                  const std::vector<std::string>& overrides) {
  std::map<std::string, std::string> values;
  const Environment note = [&](const std::string& name) {
    std::optional<std::string> value = process_environment(name);
    if (value) values[name] = *value;
    return value;
  };
  try {
    std::vector<Problem> told_later;
    merged_values(read_config_file(file), file, overrides, note, told_later);
  } catch (const Error&) {
    values.clear();
  }
  return values;
}

std::chrono::milliseconds runtime_timeout(const std::string& file,
                                          const std::vector<std::string>& overrides) {
  try {
    std::vector<Problem> told_later;
    const ConfigValues values =
        merged_values(read_config_file(file), file, overrides, process_environment, told_later);
    if (!values.entries().empty()) {
      return std::chrono::milliseconds(values.integer("runtime.timeout"));
    }
  } catch (const Error&) {
    // load_config() tells it.
  }
  return RuntimeConfig{}.timeout;
}

void resolve_vocab(RunConfig& config, int64_t tokenizer_vocab) {
  if (config.model.vocab != 0) return;
  config.model.vocab = tokenizer_vocab;
  config.values.resolve("model.vocab", tokenizer_vocab);
}

void set_compute(RunConfig& config, DType compute) {
  config.model.compute = compute;
  config.values.replace("precision.compute", std::string(name(compute)));
  if (config.moe.router_precision) return;
  for (auto& moe : config.model.moe) {
    if (moe) moe->router_precision = wide(compute);
  }
}

void resolve_end_of_text(RunConfig& config, const std::string& end) {
  if (config.values.is_word("data.end_of_text", "auto"))
    config.values.resolve("data.end_of_text", end);
}

}  // namespace troupe
