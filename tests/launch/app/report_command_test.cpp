#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.h"
#include "launch/app/command_table.h"
#include "tests/launch/report/synthetic_run.h"

namespace troupe {
namespace {

using testing::read_text;
using testing::RunDir;
using testing::write_synthetic_run;

struct Outcome {
  ExitCode code = ExitCode::ok;
  std::string said;  // stdout, or the error's message
};

Outcome run(const std::vector<std::string>& args) {
  ::testing::internal::CaptureStdout();
  try {
    const int code = find_command("report")->run(args);
    return {static_cast<ExitCode>(code), ::testing::internal::GetCapturedStdout()};
  } catch (const Error& error) {
    ::testing::internal::GetCapturedStdout();
    return {error.code(), error.what()};
  }
}

TEST(ReportCommand, WritesReportHtmlIntoTheFirstDirectory) {
  const RunDir dir;
  write_synthetic_run(dir / "a", {});
  write_synthetic_run(dir / "b", {});
  const Outcome outcome = run({(dir / "a").string(), (dir / "b").string()});
  EXPECT_EQ(outcome.code, ExitCode::ok);
  EXPECT_EQ(outcome.said, "report: " + (dir / "a" / "report.html").string() + "\n");
  EXPECT_NE(read_text(dir / "a" / "report.html").find("<title>Troupe report: a, b</title>"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(dir / "b" / "report.html"));
}

TEST(ReportCommand, WritesToTheFileThatIsAskedFor) {
  const RunDir dir;
  write_synthetic_run(dir / "a", {});
  const std::string out = (dir / "page.html").string();
  EXPECT_EQ(run({"--out", out, (dir / "a").string()}).code, ExitCode::ok);
  EXPECT_TRUE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(dir / "a" / "report.html"));
  EXPECT_EQ(run({(dir / "a").string(), "--out=" + out + "2"}).code, ExitCode::ok);
  EXPECT_TRUE(std::filesystem::exists(out + "2"));
}

TEST(ReportCommand, ARunWithoutALoggedStepGetsAPageThatSaysSo) {
  const RunDir dir;
  testing::write_text(dir / "config.resolved.yaml", "version: 1\n");
  EXPECT_EQ(run({dir.path().string()}).code, ExitCode::ok);
  EXPECT_NE(read_text(dir / "report.html").find("No step has been logged yet"), std::string::npos);
}

TEST(ReportCommand, OtherDirectoriesAreRefusedAndLeftAlone) {
  const RunDir dir;
  const Outcome empty = run({dir.path().string()});
  EXPECT_EQ(empty.code, ExitCode::data);
  EXPECT_NE(empty.said.find("holds no metrics.jsonl"), std::string::npos) << empty.said;
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_EQ(run({(dir / "none").string()}).code, ExitCode::data);
  testing::write_text(dir / "file", "x");
  EXPECT_EQ(run({(dir / "file").string()}).code, ExitCode::data);
}

TEST(ReportCommand, WrongArgumentsShowTheUsage) {
  for (const auto& args :
       std::vector<std::vector<std::string>>{{}, {"--out"}, {"--nothing", "x"}}) {
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, ExitCode::usage);
    EXPECT_NE(outcome.said.find("usage: troupe report"), std::string::npos) << outcome.said;
  }
  EXPECT_NE(run({"x", "--ot", "y"}).said.find("did you mean --out?"), std::string::npos);
  EXPECT_EQ(run({"--help"}).code, ExitCode::ok);
}

TEST(ReportCommand, APlaceThatCannotBeWrittenIsNamed) {
  const RunDir dir;
  write_synthetic_run(dir / "a", {});
  const std::string out = (dir / "missing" / "page.html").string();
  const Outcome outcome = run({(dir / "a").string(), "--out", out});
  EXPECT_EQ(outcome.code, ExitCode::resource);
  EXPECT_NE(outcome.said.find(out), std::string::npos) << outcome.said;
}

}  // namespace
}  // namespace troupe
