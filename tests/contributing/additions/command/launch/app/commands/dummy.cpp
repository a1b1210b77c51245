// troupe dummy
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"

namespace troupe {
namespace {

int run(std::span<const std::string> args) {
  CommandLine line("dummy", "", "Says that it is one.");
  if (!line.parse(args)) return 0;
  output::print("a dummy\n");
  return 0;
}

}  // namespace

Command command_dummy() {
  Command command;
  command.place = 125;
  command.name = "dummy";
  command.summary = "says that it is one";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
