// The page in a real browser: no console message, the values of metrics.jsonl, no sideways
// scrolling on a phone, both colour schemes, keys that read values. Skipped without chromium.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "launch/metrics/metrics_file.h"
#include "launch/report/report.h"
#include "tests/launch/report/page_data.h"
#include "tests/launch/report/synthetic_run.h"

namespace troupe {
namespace {

using testing::read_text;
using testing::RunDir;
using testing::SyntheticRun;
using testing::write_synthetic_run;
using testing::write_text;

constexpr const char* kChromium = "/usr/bin/chromium";

struct Rendered {
  std::string dom;
  std::string console;  // what chromium said
};

Rendered render(const RunDir& dir, const std::string& html, const std::string& flags) {
  write_text(dir / "page.html", html);
  const std::string base = dir.path().string();
  const std::string command =
      "cd " + base + " && HOME=" + base + " timeout 100 " + kChromium +
      " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --enable-logging=stderr"
      " --user-data-dir=" +
      base + "/profile " + flags + " --dump-dom file://" + base +
      "/page.html >dom.html 2>console.txt";
  EXPECT_EQ(std::system(command.c_str()), 0) << read_text(dir / "console.txt");
  return {read_text(dir / "dom.html"), read_text(dir / "console.txt")};
}

// The page with one more script at its end, whose findings are read from the document.
std::string with_probe(std::string html, const std::string& script) {
  return html.insert(html.rfind("</body>"), "<script>" + script + "</script>");
}

std::string attribute(const std::string& dom, const std::string& name) {
  const std::string mark = " " + name + "=\"";
  const size_t begin = dom.find(mark);
  if (begin == std::string::npos) return "missing";
  const size_t from = begin + mark.size();
  return dom.substr(from, dom.find('"', from) - from);
}

bool says_something(const Rendered& page) {
  return page.console.find("CONSOLE") != std::string::npos;
}

class Chromium : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kChromium)) GTEST_SKIP() << kChromium << " is not installed";
  }
};

TEST_F(Chromium, ShowsTheValuesOfMetricsJsonlWithoutAConsoleMessage) {
  const RunDir dir;
  write_synthetic_run(dir / "run", {});
  const Rendered page = render(dir, report({dir / "run"}), "");
  EXPECT_FALSE(says_something(page)) << page.console;
  EXPECT_EQ(attribute(page.dom, "data-ready"), "yes");  // the script ran to its end
  testing::expect_rows(testing::page_data(page.dom)["runs"][0]["rows"], read_metrics(dir / "run"),
                       /*all=*/true);
}

TEST_F(Chromium, AConsoleErrorWouldBeSeen) {
  const RunDir dir;
  SyntheticRun run;
  run.rows = 3;
  write_synthetic_run(dir / "run", run);
  const Rendered page =
      render(dir, with_probe(report({dir / "run"}), "document.missing.call()"), "");
  EXPECT_TRUE(says_something(page)) << page.console;
}

TEST_F(Chromium, DrawnCurvesLieAtTheValues) {
  const RunDir dir;
  write_synthetic_run(dir / "run", {});
  const Rendered page = render(dir, report({dir / "run"}), "");
  const auto rows = read_metrics(dir / "run");
  const size_t plot = page.dom.find("data-chart=\"loss-steps\"");
  ASSERT_NE(plot, std::string::npos);
  const std::string from_plot = page.dom.substr(plot - 1, 400000);
  const double x0 = std::stod(attribute(from_plot, "data-x0"));
  const double x1 = std::stod(attribute(from_plot, "data-x1"));
  const double y0 = std::stod(attribute(from_plot, "data-y0"));
  const double y1 = std::stod(attribute(from_plot, "data-y1"));
  const size_t line = from_plot.find("line c0 faint");
  ASSERT_NE(line, std::string::npos);
  std::string path = attribute(from_plot.substr(line), "d");
  for (char& c : path) {
    if (c == 'M' || c == 'L') c = ' ';
  }
  std::istringstream numbers(path);
  double x = 0, y = 0;
  size_t count = 0;
  while (numbers >> x >> y) {
    ASSERT_LT(count, rows.size());
    EXPECT_NEAR(x0 + x / 1000 * (x1 - x0), static_cast<double>(rows[count].step), 1e-4 * (x1 - x0));
    EXPECT_NEAR(y1 - y / 1000 * (y1 - y0), rows[count].loss, 1e-4 * (y1 - y0));
    ++count;
  }
  EXPECT_EQ(count, rows.size());
}

constexpr const char* kProbe =
    "document.querySelectorAll('details').forEach(d => { d.open = true; });"
    "const root = document.documentElement;"
    "root.dataset.wide = root.scrollWidth - root.clientWidth;"
    "root.dataset.inner = innerWidth;"
    "root.dataset.paper = getComputedStyle(document.body).backgroundColor;"
    "const plot = document.querySelector('[data-chart=loss-steps]');"
    "const key = (p, k) => p.dispatchEvent(new KeyboardEvent('keydown', {key: k}));"
    "key(plot, 'Home');"
    "root.dataset.first = document.getElementById('tip').textContent;"
    "key(plot, 'End');"
    "root.dataset.last = document.getElementById('tip').textContent;"
    "const heat = document.querySelector('[data-heat]');"
    "key(heat, 'ArrowRight'); key(heat, 'ArrowDown');"
    "root.dataset.cell = document.getElementById('tip').textContent;";

TEST_F(Chromium, FitsAPhoneAndAnswersTheKeyboard) {
  const RunDir dir;
  SyntheticRun run;
  run.experts = 64;
  write_synthetic_run(dir / "a-run-with-a-rather-long-name-for-a-phone", run);
  const auto run_dir = dir / "a-run-with-a-rather-long-name-for-a-phone";
  // Chromium's windows are 500 wide at least, so the phone is a frame.
  write_text(dir / "phone.html", with_probe(report({run_dir}), kProbe));
  const std::string frame =
      "<!DOCTYPE html><body><iframe src=\"phone.html\" style=\"width:400px;height:900px;border:0\">"
      "</iframe><script>onload = () => Object.assign(document.documentElement.dataset, "
      "frames[0].document.documentElement.dataset);</script></body>";
  const Rendered page = render(dir, frame, "--allow-file-access-from-files");
  EXPECT_FALSE(says_something(page)) << page.console;
  EXPECT_EQ(attribute(page.dom, "data-inner"), "400");
  EXPECT_EQ(attribute(page.dom, "data-wide"), "0");
  const std::string first = attribute(page.dom, "data-first");
  EXPECT_EQ(first.rfind("10 steps", 0), 0u) << first;
  const std::string last = attribute(page.dom, "data-last");
  EXPECT_EQ(last.rfind("1 500 steps", 0), 0u) << last;
  char loss[32];
  std::snprintf(loss, sizeof(loss), "training%.5g", read_metrics(run_dir).back().loss);
  EXPECT_NE(last.find(loss), std::string::npos) << last;
  EXPECT_EQ(attribute(page.dom, "data-cell").rfind("expert 1, step", 0), 0u)
      << attribute(page.dom, "data-cell");
}

TEST_F(Chromium, SeveralRunsInTheDark) {
  const RunDir dir;
  write_synthetic_run(dir / "moe", {});
  SyntheticRun dense;
  dense.layers = 0;
  write_synthetic_run(dir / "dense", dense);
  dense.rows = 0;
  write_synthetic_run(dir / "empty", dense);
  const std::string html = with_probe(report({dir / "empty", dir / "moe", dir / "dense"}), kProbe);
  const Rendered light = render(dir, html, "--blink-settings=preferredColorScheme=1");
  const Rendered dark = render(dir, html, "--blink-settings=preferredColorScheme=0");
  EXPECT_FALSE(says_something(light)) << light.console;
  EXPECT_FALSE(says_something(dark)) << dark.console;
  EXPECT_NE(attribute(light.dom, "data-paper"), attribute(dark.dom, "data-paper"));
  EXPECT_NE(attribute(dark.dom, "data-last").find("moe, held out"), std::string::npos);
}

TEST_F(Chromium, EmptyAndOneStepPagesWork) {
  const RunDir dir;
  SyntheticRun run;
  run.rows = 0;
  write_synthetic_run(dir / "none", run);
  run.rows = 1;
  write_synthetic_run(dir / "one", run);
  for (const char* name : {"none", "one"}) {
    const Rendered page = render(dir, report({dir / name}), "");
    EXPECT_FALSE(says_something(page)) << page.console;
    EXPECT_EQ(attribute(page.dom, "data-ready"), "yes");
  }
}

}  // namespace
}  // namespace troupe
