// troupe selftest: does this build compute right on this machine?
#include "launch/selftest/selftest.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/json_text.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"

namespace troupe {

namespace {

int run(std::span<const std::string> args) {
  CommandLine line("selftest", "[options]",
                   "Compares gradients with finite differences, layouts on threads with one rank, "
                   "one thread with several, and a checkpoint with the state it was made from; "
                   "code 8 when anything differs.");
  line.flag("json", "one JSON object on standard output").positionals(0, 0);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  bool passed = true;
  nlohmann::ordered_json out;
  for (const SelftestRow& row : selftest()) {
    passed = passed && row.passed();
    if (arguments->flag("json")) {
      out["rows"].push_back({{"name", row.name},
                             {"worst", row.worst},
                             {"tolerance", row.tolerance},
                             {"where", row.where},
                             {"passed", row.passed()}});
    } else {
      output::print("{:6} {:38} worst {:.1e} (allowed {:.0e})  {:.1f} s{}\n",
                    row.passed() ? "ok" : "FAILED", row.name, row.worst, row.tolerance, row.seconds,
                    row.passed() ? "" : "  in " + row.where);
    }
  }
  if (arguments->flag("json")) {
    out["passed"] = passed;
    output::print("{}\n", json_text(out));
  }
  return static_cast<int>(passed ? ExitCode::ok : ExitCode::verification);
}

}  // namespace

Command command_selftest() {
  Command command;
  command.place = 90;
  command.name = "selftest";
  command.arguments = "";
  command.summary = "does this build compute right on this machine?";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
