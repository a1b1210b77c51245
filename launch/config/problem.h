// A problem of a configuration: where, which key, which value, which rule, and the fix.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace troupe {

enum class Source : uint8_t { none, file, command_line, automatic };

struct SourceLocation {
  Source source = Source::none;
  int line = 0;  // from 1; 0 = no position
  int column = 0;
};

// "3:5" (LINE:COLUMN of the file, which a list names once), "command line", "default" or "auto".
std::string text(const SourceLocation& place);

struct Problem {
  SourceLocation place;
  std::string key;    // dotted, in full; empty for the file as a whole
  std::string value;  // as written; empty when there is none
  std::string rule;   // what is broken, with its arithmetic
  std::string fix;    // nearest legal value or key, or what to write
};

// One line: "LINE:COLUMN: KEY = VALUE: RULE; FIX".
std::string text(const Problem& problem);

// All problems as one message that begins with the file, in file order, those of the command line
// last.
std::string message(std::vector<Problem> problems, const std::string& file);

}  // namespace troupe
