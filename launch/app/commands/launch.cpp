// troupe launch [-n N] [--hosts LIST|FILE] [--] train CONFIG ...
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/command_table.h"
#include "launch/app/output.h"
#include "launch/config/load.h"
#include "launch/config/nearest.h"
#include "launch/job/mpirun.h"
#include "launch/job/private_directory.h"

namespace troupe {
namespace {

CommandLine syntax() {
  CommandLine line(
      "launch", "[-n N] [--hosts LIST|FILE] [--] COMMAND ...",
      "Starts a command of Troupe on N ranks with mpirun, passes stop requests on, and "
      "returns the job's exit code.");
  line.option("ranks,n", "N", "",
              "number of ranks; default: the smallest that the configuration allows")
      .option("hosts", "LIST|FILE", "",
              "machines: host:slots,host:slots or an OpenMPI hostfile; default ranks: all slots")
      .option("network", "CIDR|NAME", "",
              "the network between the machines where they have several: 10.1.0.0/16 or eth0")
      .flag("print", "print the mpirun line and do nothing")
      .positionals(1, SIZE_MAX)
      .rest_is_positional()
      .details(
          "Ctrl-C or SIGTERM: the ranks save a checkpoint and leave with code 75; a second one "
          "ends them at once.\n"
          "example:\n  troupe launch -n 2 train configs/tiny/shakespeare.yaml train.steps=300");
  return line;
}

// What launch must know of a `train` before it starts.
struct Job {
  int ranks = 1;
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
};

// A configuration is checked before anything starts.
Job job_of(const Arguments& arguments, const Hosts& hosts) {
  int given =
      arguments.given("ranks") ? static_cast<int>(arguments.integer("ranks", 1, 1 << 20)) : 0;
  if (given == 0) given = hosts.slots();
  if (arguments.positionals[0] != "train") {
    if (given == 0) {
      fail(ExitCode::usage, "say on how many ranks: troupe launch -n N {} ...",
           arguments.positionals[0]);
    }
    return {given};
  }
  std::vector<std::string> words;
  for (size_t i = 1; i < arguments.positionals.size(); ++i) {
    const std::string& word = arguments.positionals[i];
    if (word == "--help" || word == "-h") return {std::max(given, 1)};
    if (word.empty() || word[0] != '-') words.push_back(word);
  }
  const ConfigWords named = config_words(words);
  const RunConfig config = load_config(named.file, named.overrides, given).config;
  return {given > 0 ? given : config.parallel.shape.world(), config.runtime.timeout};
}

// A job over several machines: mpirun's own codes, told in Troupe's terms.
int explained(int code, const LaunchPlan& plan) {
  if (plan.hosts.hosts.empty()) return code;
  const bool by_troupe = (code >= 0 && code <= 8) || code == 75;
  const bool by_signal = code > 128 && code <= 128 + 64;
  if (!by_troupe && !by_signal) {
    log::error("a host is lost: its OpenMPI daemon does not answer (mpirun's code {})", code);
    return static_cast<int>(ExitCode::distributed);
  }
  if (code == 1 || by_signal) {
    log::error(
        "mpirun ended with code {}. If nothing was started: `ssh HOST` must work without a "
        "password, and the program and the working directory must be at the same path on each "
        "host. The mpirun line above says more without --quiet",
        code);
  }
  return code;
}

std::string temporary_parent() {
  const char* named = std::getenv("TMPDIR");
  const std::string parent = named == nullptr ? "/tmp" : named;
  return parent.empty() || parent.size() > 60 ? "/tmp" : parent;  // paths of sockets are short
}

int run(std::span<const std::string> args) {
  const CommandLine line = syntax();
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  if (std::getenv("OMPI_COMM_WORLD_RANK") != nullptr) {  // OpenMPI does not nest
    fail(ExitCode::usage, "launch starts mpirun itself: start it without mpirun");
  }
  const Command* command = find_command(arguments->positionals[0]);
  if (command == nullptr || command->name == "launch") {
    std::vector<std::string> names;
    for (const Command& known : commands()) {
      if (known.name != "launch") names.push_back(known.name);
    }
    fail(ExitCode::usage, "troupe launch: '{}' is no command that can be launched{}; write: {}",
         arguments->positionals[0], did_you_mean(arguments->positionals[0], names),
         "troupe launch -n 2 train CONFIG");
  }
  LaunchPlan plan;
  if (arguments->given("hosts")) plan.hosts = parse_hosts(arguments->text("hosts"));
  const Job job = job_of(*arguments, plan.hosts);
  plan.ranks = job.ranks;
  plan.timeout = job.timeout;
  const bool local = plan.hosts.hosts.empty();
  if (!local) {
    plan.hosts = with_slots(plan.hosts, plan.ranks);
    plan.directory = std::filesystem::current_path().string();
  }
  plan.network = arguments->text("network");
  if (local && !plan.network.empty()) {
    fail(ExitCode::usage, "--network {} is of use only with --hosts", plan.network);
  }
  std::error_code error;
  plan.words.push_back(std::filesystem::read_symlink("/proc/self/exe", error).string());
  plan.words.insert(plan.words.end(), arguments->positionals.begin(), arguments->positionals.end());
  plan.root = geteuid() == 0;
  plan.oversubscribe = local && plan.ranks > physical_cores();
  if (arguments->flag("print")) {
    if (!plan.hosts.rewritten.empty()) {
      log::warning(
          "{} was written on Windows: launch gives mpirun a copy with plain line ends. Rewrite it "
          "before you use this line yourself",
          plan.hosts.file);
    }
    output::print("{}\n", shell_line(mpirun_environment(plan), mpirun_line(plan)));
    return 0;
  }
  if (plan.root) {
    log::info(
        "running as root: OMPI_ALLOW_RUN_AS_ROOT and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM are set "
        "for OpenMPI");
  }
  remove_abandoned_directories(temporary_parent());
  remove_abandoned_directories("/dev/shm");
  const PrivateDirectory temporary(temporary_parent());
  plan.temporary = temporary.path();
  if (!plan.hosts.rewritten.empty()) {
    plan.hosts.file = temporary.path() + "/hosts";
    write_file_atomically(plan.hosts.file, plan.hosts.rewritten);
  }
  // On this machine only: its place would be passed on to the other hosts, where it does not exist.
  std::optional<PrivateDirectory> memory;
  if (local) plan.shared_memory = memory.emplace("/dev/shm").path();
  log::info("{}", shell_line(mpirun_environment(plan), mpirun_line(plan)));
  return explained(supervise(mpirun_line(plan), mpirun_environment(plan)), plan);
}

}  // namespace

Command command_launch() {
  Command command;
  command.place = 20;
  command.name = "launch";
  command.arguments = "[-n N] [--hosts ...] [--] train ...";
  command.summary = "start a command on several ranks";
  command.run = run;
  command.stops_softly = true;
  return command;
}

}  // namespace troupe
