// troupe help [KEY]
#include <fmt/core.h>

#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/command_table.h"
#include "launch/app/output.h"
#include "launch/config/help.h"
#include "launch/config/schema.h"

namespace troupe {

namespace {

int run(std::span<const std::string> args) {
  CommandLine line("help", "[KEY]",
                   "Without a key: the commands. With one: what a configuration key or section "
                   "means, its values, its default, and whether it may change on resume.");
  line.positionals(0, 1).details(
      "examples:\n  troupe help moe.router\n  troupe help top_k\n  troupe help train");
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  if (arguments->positionals.empty()) {
    output::print("{}", program_help());
    return 0;
  }
  const std::string& key = arguments->positionals[0];
  const Command* command = find_command(key);
  if (command != nullptr) {
    output::print("troupe {} {}\n  {}; `troupe {} --help` says more\n", command->name,
                  command->arguments, command->summary, command->name);
    if (find_schema(key) == nullptr) return 0;
  }
  output::print("{}", explain_key(key));
  return 0;
}

}  // namespace

Command command_help() {
  Command command;
  command.place = 130;
  command.name = "help";
  command.arguments = "[KEY]";
  command.summary = "this text, or what a configuration key means";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
