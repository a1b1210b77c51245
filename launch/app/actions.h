// Commands that do several things: each action is named by the first word and has a command line of
// its own ("troupe data build", "troupe ckpt show").
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/app/command_line.h"

namespace troupe {

struct Action {
  std::string name;  // "build"
  CommandLine line;  // of "data build"
  int (*run)(const Arguments& arguments) = nullptr;
};

// Runs the action that the first word names and returns its exit code. `--help` instead of an
// action shows all of them. Throws Error(usage), with the nearest name, for anything else.
int run_action(const std::string& command, const std::vector<Action>& actions,
               std::span<const std::string> words);

}  // namespace troupe
