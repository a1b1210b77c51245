// What a terminal shows: one line that is rewritten in place and never wraps, alone and under
// launch.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

// Runs the words with a terminal of that width as stdin, stdout and stderr; all that it shows.
std::string on_terminal(const std::vector<std::string>& words, int columns, int* code) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  grantpt(master);
  unlockpt(master);
  const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = 30;
  ioctl(terminal, TIOCSWINSZ, &size);
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    ioctl(terminal, TIOCSCTTY, 0);
    for (const int target : {0, 1, 2}) dup2(terminal, target);
    close(terminal);
    setenv("TERM", "xterm", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    alarm(100);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(terminal);
  std::string shown;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(master, buffer, sizeof(buffer))) > 0;) {
    shown.append(buffer, static_cast<size_t>(got));
  }
  close(master);
  int status = 0;
  waitpid(child, &status, 0);
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return shown;
}

class Live : public TinyRun {
 protected:
  // Every rewriting fits, and all that a rewritten line said is gone at the end.
  void expect_live(const std::string& shown, int columns) const {
    size_t drawn = 0;
    std::istringstream lines(shown);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      std::string visible;
      std::istringstream pieces(line);
      for (std::string piece; std::getline(pieces, piece, '\r');) {
        const size_t wipe = piece.find("\x1b[K");
        if (wipe == std::string::npos) {
          visible = piece;
          continue;
        }
        visible = piece.substr(0, wipe) + piece.substr(wipe + 3);
        if (piece.rfind("step ", 0) == 0) {
          ++drawn;
          EXPECT_LT(static_cast<int>(wipe), columns) << piece;
          EXPECT_NE(piece.find("/200"), std::string::npos) << piece;
        }
      }
      EXPECT_EQ(visible.rfind("step ", 0), std::string::npos) << "left on the screen: " << visible;
    }
    EXPECT_GE(drawn, 2U) << shown;
  }
};

TEST_F(Live, OneLineThatFits) {
  for (const int columns : {40, 80, 120}) {
    int code = -1;
    const std::string name = "run" + std::to_string(columns);
    const std::string shown =
        on_terminal(alone(train(name, {"train.steps=200", "checkpoint.every=50", "eval.every=50"})),
                    columns, &code);
    EXPECT_EQ(code, 0) << shown;
    expect_live(shown, columns);
    EXPECT_NE(shown.find("val_loss  "), std::string::npos) << shown;
    if (columns == 120) {
      EXPECT_NE(shown.find("ETA "), std::string::npos) << shown;
    }
  }
}

TEST_F(Live, UnderLaunchToo) {
  for (const int columns : {50, 100}) {
    int code = -1;
    std::vector<std::string> words = alone({"launch", "-n", "2", "--"});
    const auto rest = train("run" + std::to_string(columns),
                            {"train.steps=200", "checkpoint.every=50", "eval.every=50"});
    words.insert(words.end(), rest.begin(), rest.end());
    const std::string shown = on_terminal(words, columns, &code);
    EXPECT_EQ(code, 0) << shown;
    EXPECT_NE(shown.find("TROUPE_LIVE_COLUMNS=" + std::to_string(columns)), std::string::npos);
    expect_live(shown, columns);
  }
}

TEST_F(Live, PlainLinesElsewhere) {
  const Outcome outcome = run(alone(train("run", {"train.steps=20"})));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "\nstep "), 20) << outcome.err;
}

}  // namespace
}  // namespace troupe::program
