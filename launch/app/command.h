// A command of the program: one file launch/app/commands/NAME.cpp, which defines
// `Command command_NAME()`. The table is made from the listing of the folder.
#pragma once

#include <span>
#include <string>

namespace troupe {

struct Command {
  int place = 0;  // in the list of `troupe help`, rising
  std::string name;
  std::string arguments;
  std::string summary;
  // args: the words after the command's name. Returns the exit code, or throws Error.
  int (*run)(std::span<const std::string> args) = nullptr;
  // Asks stop_requested() itself: signals do not end the process.
  bool stops_softly = false;
  // Needs no other rank: under mpirun rank 0 runs it, so that it speaks and writes once.
  bool alone = false;
};

}  // namespace troupe
