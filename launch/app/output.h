// Standard output: the results of a command. Messages go to stderr (core/base/log.h).
//
// A write that fails (full disk) does not stop a command, which may have more to do than to print:
// run_program() asks once, at the end.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace troupe::output {

void write(std::string_view text);

template <typename... Args>
void print(fmt::format_string<Args...> format, Args&&... args) {
  write(fmt::format(format, std::forward<Args>(args)...));
}

// What was printed so far is seen now.
void flush();

// Descriptors 0 to 2 that the caller closed (`>&-`) lead to /dev/null, so that no file of the
// program gets their numbers. Call it before anything is opened.
void open_standard_descriptors();

// Flushes; the errno of the first write that failed, 0 when all is written.
int finish();

}  // namespace troupe::output
