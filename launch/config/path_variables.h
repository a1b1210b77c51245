// $NAME, ${NAME} and a leading ~/ in the paths of a configuration.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "launch/config/problem.h"

namespace troupe {

// The value of a variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Of this process.
std::optional<std::string> process_environment(const std::string& name);
// Of another one, as far as it was told.
Environment told_environment(std::map<std::string, std::string> values);

// How the paths of a configuration are read.
struct PathReading {
  Environment environment = process_environment;
  // False for a stored configuration: its paths were expanded when it was written, and what looks
  // like a variable in them is part of the name. Those of the command line are expanded always.
  bool expand_file = true;
};

// The path with the values of its variables, each put in once: a value is not searched again. "~"
// and "~/..." begin with HOME. A '$' behind which no name stands is itself. Nothing, after writing
// rule and fix into `problem`, when a variable is not set or empty, or when the result is no path.
std::optional<std::string> expand_path(const std::string& path, const Environment& environment,
                                       Problem& problem);

}  // namespace troupe
