// The commands of the program by name.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace troupe {

struct Command {
  std::string name;
  std::string arguments;
  std::string summary;
  int (*run)(std::span<const std::string> args) = nullptr;
  // Asks stop_requested() itself: signals do not end the process.
  bool stops_softly = false;
  // Needs no other rank: under mpirun rank 0 runs it, so that it speaks and writes once.
  bool alone = false;
};

const std::vector<Command>& commands();
const Command* find_command(const std::string& name);

// Help of the whole program.
std::string program_help();

// Runs the command named by the first word; returns the exit code. Errors are printed, one message
// per job.
int run_program(std::span<const std::string> words);

}  // namespace troupe
