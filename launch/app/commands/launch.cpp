// troupe launch [-n N] [--hosts LIST|FILE] [--] train CONFIG ...
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "launch/app/command_line.h"
#include "launch/app/command_table.h"
#include "launch/app/commands.h"
#include "launch/app/mpirun.h"
#include "launch/config/load.h"

namespace troupe {
namespace {

CommandLine syntax() {
  CommandLine line(
      "launch", "[-n N] [--hosts LIST|FILE] [--] COMMAND ...",
      "Starts a command of Troupe on N ranks with mpirun, passes stop requests on, and "
      "returns the job's exit code.");
  line.option("ranks,n", "N", "",
              "number of ranks; default: the smallest that the configuration allows")
      .option("hosts", "LIST|FILE", "", "machines: host:slots,host:slots or an OpenMPI hostfile")
      .flag("print", "print the mpirun line and do nothing")
      .positionals(1, SIZE_MAX)
      .rest_is_positional()
      .details(
          "Ctrl-C or SIGTERM: the ranks save a checkpoint and leave with code 75; a second one "
          "ends "
          "them at once.\n"
          "example:\n  troupe launch -n 2 train configs/tiny/shakespeare.yaml train.steps=300");
  return line;
}

// The ranks of the job; a configuration is checked before anything starts.
int ranks_of(const Arguments& arguments) {
  const int given =
      arguments.given("ranks") ? static_cast<int>(arguments.integer("ranks", 1, 1 << 20)) : 0;
  if (arguments.positionals[0] != "train") {
    if (given == 0) {
      fail(ExitCode::usage, "say on how many ranks: troupe launch -n N {} ...",
           arguments.positionals[0]);
    }
    return given;
  }
  std::vector<std::string> words;
  for (size_t i = 1; i < arguments.positionals.size(); ++i) {
    const std::string& word = arguments.positionals[i];
    if (word == "--help" || word == "-h") return std::max(given, 1);
    if (word.empty() || word[0] != '-') words.push_back(word);
  }
  const ConfigWords config = config_words(words);
  return load_config(config.file, config.overrides, given).config.parallel.dp;
}

std::string temporary_parent() {
  const char* named = std::getenv("TMPDIR");
  const std::string parent = named == nullptr ? "/tmp" : named;
  return parent.empty() || parent.size() > 60 ? "/tmp" : parent;  // paths of sockets are short
}

}  // namespace

int command_launch(std::span<const std::string> args) {
  const CommandLine line = syntax();
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  const Command* command = find_command(arguments->positionals[0]);
  if (command == nullptr || command->name == "launch") {
    fail(ExitCode::usage, "troupe launch: '{}' is no command that can be launched; write: {}",
         arguments->positionals[0], "troupe launch -n 2 train CONFIG");
  }
  LaunchPlan plan;
  plan.ranks = ranks_of(*arguments);
  plan.hosts = arguments->text("hosts");
  std::error_code error;
  plan.words.push_back(std::filesystem::read_symlink("/proc/self/exe", error).string());
  plan.words.insert(plan.words.end(), arguments->positionals.begin(), arguments->positionals.end());
  plan.root = geteuid() == 0;
  plan.oversubscribe = plan.hosts.empty() && plan.ranks > physical_cores();
  if (arguments->flag("print")) {
    fmt::print("{}\n", shell_line(mpirun_environment(plan), mpirun_line(plan)));
    return 0;
  }
  if (plan.root) {
    log::info(
        "running as root: OMPI_ALLOW_RUN_AS_ROOT and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM are set "
        "for OpenMPI");
  }
  const bool local = plan.hosts.empty();
  const PrivateDirectory temporary(local ? temporary_parent() : "/nonexistent");
  const PrivateDirectory memory(local ? "/dev/shm" : "/nonexistent");
  plan.temporary = temporary.path();
  plan.shared_memory = memory.path();
  log::info("{}", shell_line(mpirun_environment(plan), mpirun_line(plan)));
  return supervise(mpirun_line(plan), mpirun_environment(plan));
}

}  // namespace troupe
