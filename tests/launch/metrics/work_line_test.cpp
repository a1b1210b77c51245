#include "launch/metrics/work_line.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What `work` writes with a line that is `live` or not.
template <typename Work>
std::string written(bool live, Work&& work) {
  std::FILE* file = std::tmpfile();
  const WorkLine::Clock::time_point start{};
  {
    WorkLine line(file, live, start);
    work(line, start);
  }
  std::string text(static_cast<size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

TEST(WorkLine, SaysALineEveryTenSeconds) {
  const std::string text = written(false, [](WorkLine& line, auto start) {
    line.show("evaluating", "80 windows", 8, 80, start + seconds(9));
    line.show("evaluating", "80 windows", 20, 80, start + seconds(20));
    line.show("evaluating", "80 windows", 30, 80, start + seconds(29));
    line.show("evaluating", "80 windows", 40, 80, start + seconds(30));
  });
  EXPECT_EQ(text,
            "evaluating 25 % of 80 windows, 1m00s left\n"
            "evaluating 50 % of 80 windows, 30s left\n");
}

TEST(WorkLine, RedrawsOnATerminalAndWipesItself) {
  const std::string text = written(true, [](WorkLine& line, auto start) {
    line.show("reading", "1 MB", 1, 10, start + milliseconds(50));
    line.show("reading", "1 MB", 5, 10, start + milliseconds(1000));
    line.show("reading", "1 MB", 6, 10, start + milliseconds(1050));
  });
  // Without wrapping, so that a narrow terminal shows one line.
  EXPECT_EQ(text, "\x1b[?7l\rreading 50 % of 1 MB, 1s left\x1b[K\x1b[?7h\r\x1b[K");
}

TEST(WorkLine, SaysNothingOfShortWork) {
  EXPECT_EQ(written(true, [](WorkLine& line, auto start) { line.show("a", "b", 1, 2, start); }),
            "");
}

}  // namespace
}  // namespace troupe
