// troupe version
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/kernels/cpu/instruction_set.h"
#include "core/text/json_text.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"

#ifndef TROUPE_VERSION
#define TROUPE_VERSION "unknown"
#endif

namespace troupe {

namespace {

int run(std::span<const std::string> args) {
  CommandLine line("version", "[--json]", "Prints version, build and the instructions in use.");
  line.flag("json", "one JSON object").positionals(0, 0);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
#ifdef __OPTIMIZE__
  const char* build = "optimised";
#else
  const char* build = "not optimised";
#endif
  const char* instructions = kernels::cpu::name(kernels::cpu::instruction_set());
  if (arguments->flag("json")) {
    const nlohmann::ordered_json json{{"version", TROUPE_VERSION},
                                      {"compiler", __VERSION__},
                                      {"build", build},
                                      {"architecture", "x86-64-v3"},
                                      {"instructions", instructions}};
    output::print("{}\n", json_text(json));
  } else {
    output::print("troupe {} (GCC {}, {}, x86-64-v3 and wider; here {})\n", TROUPE_VERSION,
                  __VERSION__, build, instructions);
  }
  return 0;
}

}  // namespace

Command command_version() {
  Command command;
  command.place = 140;
  command.name = "version";
  command.arguments = "";
  command.summary = "version and build";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
