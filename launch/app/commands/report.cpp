// troupe report DIR... [--out FILE]
#include <fmt/core.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"
#include "launch/app/output_file.h"
#include "launch/report/report.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

void need_run(const fs::path& dir) {
  std::error_code ignored;
  if (!fs::exists(dir, ignored)) {
    fail(ExitCode::data, "report: {} {}; name the directory of a run (run.dir)", dir.string(),
         why_absent(dir));
  }
  if (!fs::is_directory(dir, ignored)) {
    fail(ExitCode::data, "report: {} is a file; name the directory of a run (run.dir)",
         dir.string());
  }
  // A run that has not logged a step yet gets a page that says so.
  if (has_metrics(dir) || fs::is_regular_file(dir / "config.resolved.yaml", ignored)) return;
  fail(ExitCode::data,
       "report: {} holds no metrics.jsonl: it is not the directory of a run; name one that "
       "`troupe train` has written (run.dir)",
       dir.string());
}

int run(std::span<const std::string> args) {
  CommandLine line(
      "report", "DIR... [--out FILE]",
      "Writes one HTML page about the runs in DIR..., overlaid when there are several. "
      "The page needs no network.");
  line.option("out", "FILE", "", "where the page goes; default: report.html in the first DIR")
      .flag("force", "replace FILE although it is no report")
      .positionals(1, SIZE_MAX);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  const std::vector<fs::path> dirs(arguments->positionals.begin(), arguments->positionals.end());
  for (const fs::path& dir : dirs) need_run(dir);
  OutputFile target;
  target.path =
      arguments->given("out") ? arguments->text("out") : (dirs.front() / "report.html").string();
  target.option = "--out";
  target.ours = is_report;
  target.force = arguments->flag("force");
  check_output_file(target);
  write_output_file(target, report(dirs));
  output::print("report: {}\n", target.path);
  return 0;
}

}  // namespace

Command command_report() {
  Command command;
  command.place = 80;
  command.name = "report";
  command.arguments = "DIR... [--out FILE]";
  command.summary = "one HTML page about runs";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
