// The commands of the program by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/app/command.h"

namespace troupe {

// In the order of their places.
const std::vector<Command>& commands();
const Command* find_command(const std::string& name);

// Help of the whole program.
std::string program_help();

// Runs the command named by the first word; returns the exit code. Errors are printed, one message
// per job.
int run_program(std::span<const std::string> words);

}  // namespace troupe
