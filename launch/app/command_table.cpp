#include "launch/app/command_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "core/base/error.h"
#include "core/kernels/cpu/instruction_set.h"
#include "launch/app/commands/table.h"
#include "launch/app/failure.h"
#include "launch/app/output.h"
#include "launch/config/help.h"
#include "launch/config/nearest.h"
#include "launch/job/stop_request.h"
#include "parallel/comm/agreement.h"
#include "parallel/comm/rank_report.h"

namespace troupe {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = [] {
    std::deque<Command> found = commands_of_this_build();
    std::vector<Command> sorted(found.begin(), found.end());
    std::sort(sorted.begin(), sorted.end(),
              [](const Command& a, const Command& b) { return a.place < b.place; });
    return sorted;
  }();
  return table;
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string program_help() {
  std::string text =
      "Troupe trains mixture-of-experts language models from one YAML file.\n\n"
      "usage: troupe COMMAND ...\n\ncommands:\n";
  for (const Command& command : commands()) {
    text += fmt::format("  {:<9} {:<38} {}\n", command.name, command.arguments, command.summary);
  }
  text +=
      "\n`troupe COMMAND --help` explains a command, `troupe help KEY` a configuration key.\n"
      "key=value: the value is all behind the first '='; only [, {, a quote or ! begin YAML.\n"
      "$NAME, ${NAME} and ~/ in paths are put in; stored configurations keep the result.\n";
  text += "Sections of a configuration:\n" + explain_sections();
  text +=
      "\nexit codes: 0 done, 1 bug, 2 usage or configuration, 3 data, 4 checkpoint, 5 resources,\n"
      "  6 NaN, 7 lost or silent rank, 8 a difference was found, 75 stopped on request\n";
  return text;
}

namespace {

std::string command_name(std::span<const std::string> words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h") return "help";
  return words[0] == "--version" ? "version" : words[0];
}

int dispatch(std::span<const std::string> words) {
  const std::string name = command_name(words);
  const Command* command = find_command(name);
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const Command& known : commands()) names.push_back(known.name);
    fail(ExitCode::usage, "no command '{}'{}; `troupe help` lists the commands", name,
         did_you_mean(name, names));
  }
  kernels::cpu::instruction_set();  // a wrong TROUPE_MAX_ISA is said before any work
  if (command->alone && environment_rank() > 0) return 0;
  if (!command->stops_softly) restore_stop_signals();
  return command->run(words.empty() ? words : words.subspan(1));
}

int run_command(std::span<const std::string> words) {
  try {
    return dispatch(words);
  } catch (const RankReport& error) {
    report_failure(error.what(), error.speaks() ? Speaker::this_rank : Speaker::another);
    return static_cast<int>(error.code());
  } catch (const AgreedError& error) {
    report_failure(error.what(), error.speaks() ? Speaker::this_rank : Speaker::another);
    return static_cast<int>(error.code());
  } catch (const Error& error) {
    report_failure(error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    report_failure("out of memory; make the model or the batch smaller, or use more ranks");
    return static_cast<int>(ExitCode::resource);
  } catch (const std::exception& error) {
    report_failure(fmt::format("unexpected: {}; this is a bug in Troupe", error.what()));
    return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace

int run_program(std::span<const std::string> words) {
  const int code = run_command(words);
  const int failure = output::finish();
  // A reader that goes away (`| head`) has read what it wanted.
  if (failure == 0 || failure == EPIPE) return code;
  report_failure(fmt::format(
      "cannot write standard output: {}; what `troupe {}` printed is not complete. Free space on "
      "its disk, or lead it elsewhere",
      std::strerror(failure), command_name(words)));
  // A difference that was found is lost with what was printed of it; an error was said on stderr.
  const bool said = code != 0 && code != static_cast<int>(ExitCode::verification);
  return said ? code : static_cast<int>(ExitCode::resource);
}

}  // namespace troupe
