// Loading a configuration: file and command line in, a checked RunConfig out.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "launch/config/path_variables.h"
#include "launch/config/run_config.h"

namespace troupe {

// What the configuration is for: eval and generate do not step, so the rules of batches do not
// bind them.
enum class Purpose { train, eval };

struct LoadedConfig {
  RunConfig config;
  std::vector<std::string> warnings;
};

// overrides: "key=value" of the command line. world: number of ranks; 0 = the smallest that the
// layout allows. environment: of the variables in paths; all ranks of a job load with that of the
// leader. Throws Error(usage) with all problems in one message.
LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides,
                         int world, Purpose purpose = Purpose::train,
                         const Environment& environment = process_environment);

// The same from text, for tests and stored configurations; `file` names it in messages and is the
// base of relative paths.
LoadedConfig load_config_text(const std::string& text, const std::string& file,
                              const std::vector<std::string>& overrides, int world,
                              Purpose purpose = Purpose::train,
                              const Environment& environment = process_environment);

// The variables that the paths of a configuration name, with their values in this process, as far
// as they are set. Nothing where it cannot be read, which load_config() tells.
std::map<std::string, std::string> path_variables(const std::string& file,
                                                  const std::vector<std::string>& overrides);

// What a checkpoint will say of this configuration can be read again: asked before training, not
// after it. Error(usage) says why not.
void check_stored_form(const RunConfig& config);

// runtime.timeout, for the start of the ranks: before it their number is not known, so nothing else
// is checked. The default where the configuration cannot be read, which load_config() tells.
std::chrono::milliseconds runtime_timeout(const std::string& file,
                                          const std::vector<std::string>& overrides);

// The text of a file. Throws Error(usage) when it cannot be read or is too large.
std::string read_config_file(const std::string& file);

// Fills in model.vocab: auto once the tokenizer is open. Does nothing when the file gave a number.
void resolve_vocab(RunConfig& config, int64_t tokenizer_vocab);
// The same for data.end_of_text: auto; `end`: the token's text, or "none".
void resolve_end_of_text(RunConfig& config, const std::string& end);

// Another type in the place of the one that precision.compute: auto has become.
void set_compute(RunConfig& config, DType compute);

// The ranks that `world` = 0 stands for.
int smallest_world(const ConfigValues& values);

}  // namespace troupe
