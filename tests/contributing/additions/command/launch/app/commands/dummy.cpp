// troupe dummy
#include "launch/app/command_line.h"
#include "launch/app/commands.h"
#include "launch/app/output.h"

namespace troupe {

int command_dummy(std::span<const std::string> args) {
  CommandLine line("dummy", "", "Says that it is one.");
  if (!line.parse(args)) return 0;
  output::print("a dummy\n");
  return 0;
}

}  // namespace troupe
