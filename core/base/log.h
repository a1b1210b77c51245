// Logging to stderr. Results go to stdout, messages go here; only the leader rank speaks below
// `warning`.
#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>

namespace troupe::log {

enum class Level { debug, info, warning, error };

// Ranks other than 0 pass leader = false: they log warnings and errors only, with "rank N:" in
// front. over_live_line: the terminal may show a live line of the run, which each message wipes.
void configure(Level level, int rank, bool leader, bool over_live_line = false);
void write(Level level, const std::string& message);

template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace troupe::log
