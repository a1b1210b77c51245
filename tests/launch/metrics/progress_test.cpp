#include "launch/metrics/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>

#include "launch/metrics/text.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ProgressState state_at(int64_t step) {
  ProgressState s;
  s.step = step;
  s.total_steps = 1500;
  s.loss = 2.13456;
  s.val_loss = 2.2;
  s.val_step = 150;
  s.tokens_per_s = 48213;
  s.load_max_over_mean = 1.234;
  s.dropped_fraction = 0.0042;
  s.grad_norm = 0.8712;
  s.lr = 3e-4;
  s.eta_s = 125;
  return s;
}

TEST(Text, Durations) {
  EXPECT_EQ(duration_text(0.4), "0s");
  EXPECT_EQ(duration_text(59.6), "1m00s");
  EXPECT_EQ(duration_text(185), "3m05s");
  EXPECT_EQ(duration_text(2 * 3600 + 14 * 60), "2h14m");
  EXPECT_EQ(duration_text(3 * 86400 + 4 * 3600), "3d04h");
  EXPECT_EQ(duration_text(-1), "?");
  EXPECT_EQ(duration_text(std::nan("")), "?");
}

TEST(Text, Numbers) {
  EXPECT_EQ(shell_word("runs/a-1.b"), "runs/a-1.b");
  EXPECT_EQ(shell_word("my runs/it's"), "'my runs/it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(grouped_text(0), "0");
  EXPECT_EQ(grouped_text(999), "999");
  EXPECT_EQ(grouped_text(1000), "1 000");
  EXPECT_EQ(grouped_text(1234567), "1 234 567");
  EXPECT_EQ(grouped_text(-123456), "-123 456");
  EXPECT_EQ(grouped_text(-1234), "-1 234");
  EXPECT_EQ(short_text(48213), "48.2k");
  EXPECT_EQ(short_text(999.7), "1.00k");
  EXPECT_EQ(short_text(0.8712), "0.871");
  EXPECT_EQ(short_text(12), "12");
  EXPECT_EQ(short_text(0), "0");
  EXPECT_EQ(short_text(2.5e-5), "2.50e-05");
  EXPECT_EQ(short_text(3.4e9), "3.40G");
  EXPECT_EQ(short_text(std::nan("")), "nan");
  EXPECT_EQ(bytes_text(512), "512 B");
  EXPECT_EQ(bytes_text(1.5 * 1024 * 1024 * 1024), "1.50 GiB");
  EXPECT_EQ(bytes_text(1023.9 * 1024), "1.00 MiB");
}

TEST(LiveLine, ShowsEverythingWhenThereIsRoom) {
  EXPECT_EQ(live_line(state_at(150), 200),
            "step 150/1500  [=           ] 10%  loss 2.1346  val 2.2000  lr 3.00e-04  |g| 0.871"
            "  48.2k tok/s  imbalance 1.23  drops 0.4%  ETA 2m05s");
}

TEST(LiveLine, FitsEveryWidthAndKeepsTheImportantFieldsLongest) {
  for (int width = 0; width < 160; ++width) {
    EXPECT_LE(live_line(state_at(150), width).size(), static_cast<size_t>(width));
  }
  EXPECT_EQ(live_line(state_at(150), 79),
            "step 150/1500  loss 2.1346  48.2k tok/s  imbalance 1.23  drops 0.4%  ETA 2m05s");
  EXPECT_EQ(live_line(state_at(150), 45), "step 150/1500  loss 2.1346  48.2k tok/s");
  EXPECT_EQ(live_line(state_at(150), 8), "step 150");
}

TEST(PlainLine, HasPlainDigitsAndAValLossOnlyOnTheLineOfItsStep) {
  ProgressState state = state_at(1400);
  EXPECT_EQ(plain_line(state),
            "step 1400/1500  loss 2.1346  lr 3.00e-04  |g| 0.871  48.2k tok/s  imbalance 1.23"
            "  drops 0.4%  ETA 2m05s");
  EXPECT_NE(live_line(state, 200).find("  val 2.2000 (step 150)  "), std::string::npos);
  state.val_step = 1400;
  EXPECT_EQ(plain_line(state).substr(0, 39), "step 1400/1500  loss 2.1346  val 2.2000");
  EXPECT_NE(live_line(state, 200).find("  val 2.2000  "), std::string::npos);
}

TEST(LiveLine, DenseModelsHaveNoImbalance) {
  ProgressState dense = state_at(1);
  dense.moe = false;
  EXPECT_EQ(live_line(dense, 300).find("imbalance"), std::string::npos);
  EXPECT_EQ(plain_line(dense).find("drops"), std::string::npos);
}

// A pseudo terminal of the given width, read from its other end.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) {
    master_ = ::posix_openpt(O_RDWR | O_NOCTTY);
    ::grantpt(master_);
    ::unlockpt(master_);
    const int slave = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
    struct winsize size {};
    size.ws_col = columns;
    size.ws_row = 24;
    ::ioctl(slave, TIOCSWINSZ, &size);
    out_ = ::fdopen(slave, "w");
    ::fcntl(master_, F_SETFL, O_NONBLOCK);
  }
  ~Terminal() {
    std::fclose(out_);
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::FILE* out() { return out_; }
  std::string seen() {
    std::string all;
    char buffer[4096];
    for (ssize_t n = ::read(master_, buffer, sizeof(buffer)); n > 0;
         n = ::read(master_, buffer, sizeof(buffer))) {
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }

 private:
  int master_ = -1;
  std::FILE* out_ = nullptr;
};

// The live line as it is drawn: no wrapping meanwhile, the rest of the row is wiped.
std::string drawn(int64_t step, int columns) {
  return "\x1b[?7l\r" + live_line(state_at(step), columns) + "\x1b[K\x1b[?7h";
}

class ProgressTest : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("TERM", "xterm", 1); }
  void TearDown() override { ::unsetenv("TROUPE_LIVE_COLUMNS"); }
  Progress::Clock::time_point at(int ms) const { return start_ + milliseconds(ms); }
  Progress::Clock::time_point start_ = Progress::Clock::now();
};

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++n;
  return n;
}

TEST_F(ProgressTest, ATerminalGetsOneLineRedrawnAtMostTenTimesASecond) {
  Terminal terminal(80);
  {
    Progress progress(terminal.out());
    ASSERT_TRUE(progress.live());
    for (int ms = 0; ms < 1000; ms += 5) progress.step(state_at(1 + ms / 5), at(ms));
    const std::string seen = terminal.seen();
    EXPECT_EQ(count(seen, "\rstep "), 10u) << seen;
    EXPECT_EQ(count(seen, "\n"), 0u);
    EXPECT_EQ(seen.find(drawn(1, 79)), 0u) << seen;
    progress.line(state_at(200));
    EXPECT_EQ(count(terminal.seen(), "\n"), 0u);
    progress.message("saved");
    EXPECT_EQ(terminal.seen(), "\r\x1b[Ksaved\r\n");  // the line makes room
    progress.step(state_at(201), at(2000));
    EXPECT_EQ(count(terminal.seen(), "\rstep 201/"), 1u);
  }
  EXPECT_EQ(terminal.seen(), "\r\x1b[K");  // nothing of it stays
}

TEST_F(ProgressTest, TheLineFitsANarrowTerminal) {
  Terminal terminal(30);
  Progress progress(terminal.out());
  progress.step(state_at(7), at(0));
  EXPECT_EQ(terminal.seen(), drawn(7, 29));
}

std::string written(std::FILE* file) {
  std::fflush(file);
  std::rewind(file);
  std::string out(8192, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), file));
  return out;
}

TEST_F(ProgressTest, AFileGetsPlainLinesOnly) {
  std::FILE* file = std::tmpfile();
  {
    Progress progress(file);
    EXPECT_FALSE(progress.live());
    for (int i = 1; i <= 20; ++i) progress.step(state_at(i), at(i * 200));
    progress.line(state_at(20));
    progress.message("saved");
  }
  EXPECT_EQ(written(file), plain_line(state_at(20)) + "\nsaved\n");
  std::fclose(file);
}

TEST_F(ProgressTest, EtaIsTheTrimmedMeanOfRecentSteps) {
  std::FILE* file = std::tmpfile();
  Progress progress(file);
  int ms = 0;
  for (int64_t step = 1; step <= 101; ++step) {
    progress.step(state_at(step), at(ms));
    ms += step % 20 == 0 ? 30'000 : 500;  // a save now and then
  }
  ProgressState state = state_at(100);
  state.eta_s = -1;
  progress.line(state);
  EXPECT_NE(written(file).find("ETA 11m40s"), std::string::npos) << written(file);  // 1400 x 0.5 s
  std::fclose(file);
}

TEST_F(ProgressTest, AParentThatOwnsTheTerminalCanAskForTheLiveLine) {
  std::FILE* file = std::tmpfile();
  ::setenv("TROUPE_LIVE_COLUMNS", "40", 1);
  {
    Progress progress(file);
    EXPECT_TRUE(progress.live());
    progress.step(state_at(7), at(0));
  }
  EXPECT_EQ(written(file), drawn(7, 39) + "\r\x1b[K");
  std::fclose(file);
}

TEST_F(ProgressTest, ModesLinesAndNone) {
  Terminal terminal(80);
  Progress lines(terminal.out(), Progress::Mode::lines);
  lines.step(state_at(1), at(0));
  lines.line(state_at(1));
  EXPECT_EQ(terminal.seen(), plain_line(state_at(1)) + "\r\n");
  Progress none(terminal.out(), Progress::Mode::none);
  none.step(state_at(1), at(0));
  none.line(state_at(1));
  EXPECT_EQ(terminal.seen(), "");
}

TEST(Banner, SaysWhatTheRunIs) {
  BannerInfo info;
  info.version = "troupe 0.1.0";
  info.run_name = "shakespeare";
  info.run_dir = "runs/shakespeare";
  info.model = "decoder, 4 layers, dim 192, 8 experts top-2";
  info.world_size = 2;
  info.layout = "dp 2 x ep 2";
  info.precision = "f32";
  info.instructions = "avx2";
  info.parameters = 3412992;
  info.active_parameters = 1204224;
  info.tokens_per_step = 8192;
  info.steps = 1500;
  info.memory_estimate_bytes = 412 * 1024 * 1024;
  info.threads = 1;
  info.warnings = {"2 threads on 1 core"};
  EXPECT_EQ(banner(info),
            "troupe 0.1.0: run shakespeare\n"
            "  model       decoder, 4 layers, dim 192, 8 experts top-2\n"
            "  parameters  3412992 total, 1204224 active for a token\n"
            "  ranks       2: dp 2 x ep 2, 1 thread each, f32 by avx2\n"
            "  batch       8192 tokens a step, 1500 steps\n"
            "  memory      412 MiB estimated on the heaviest rank\n"
            "  run dir     runs/shakespeare\n"
            "  start       new, from step 0\n"
            "warning: 2 threads on 1 core\n");
  info.resume_step = 400;
  info.resume_from = "runs/shakespeare/checkpoints/step-00000400.h5";
  EXPECT_NE(banner(info).find("start       resumes after step 400 from runs/"), std::string::npos);
}

TEST(EndTable, RowsBeginWithTheirKeys) {
  EndInfo info;
  info.rows = {{"val_loss", "1.5712"}, {"tokens_per_s", "48213"}};
  info.next_commands = {"troupe report runs/shakespeare"};
  EXPECT_EQ(end_table(info),
            "val_loss      1.5712\ntokens_per_s  48213\nnext:\n  troupe report runs/shakespeare\n");
}

}  // namespace
}  // namespace troupe
