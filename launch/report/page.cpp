#include "launch/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/metrics/text.h"
#include "launch/report/charts.h"
#include "launch/report/columns.h"
#include "launch/report/heat_map.h"
#include "launch/report/html.h"
#include "launch/report/page_parts.h"
#include "launch/report/phase_chart.h"
#include "launch/report/verdict.h"

namespace troupe::report_page {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kRunsWithHeatMaps = 6;

// The page while it grows: text on one side, what the script needs on the other.
struct Page {
  std::string body;
  Json data = {{"runs", Json::array()}, {"charts", Json::object()}, {"heat", Json::object()}};
};

Json number(double value, bool integer) {
  if (!std::isfinite(value)) return nullptr;
  if (integer) return static_cast<int64_t>(value);
  return value;
}

Json rows_as_columns(const RunData& run) {
  Json out = Json::object();
  for (const Column& column : columns()) {
    Json list = Json::array();
    for (size_t i = 0; i < run.rows.size(); ++i) {
      list.push_back(number(column.value(run, i), column.integer));
    }
    const size_t dot = column.field.find('.');
    if (dot == std::string::npos) {
      out[column.field] = std::move(list);
    } else {
      out[column.field.substr(0, dot)][column.field.substr(dot + 1)] = std::move(list);
    }
  }
  return out;
}

void add_chart(Page& page, const LineChart& chart) {
  page.body += to_html(chart);
  Json series = Json::array();
  for (const Series& s : chart.series) {
    Json item = {{"run", s.run},
                 {"field", s.field},
                 {"label", s.label.empty() ? chart.title : s.label},
                 {"key", fmt::format("c{} {}", s.color, css_class(s.style))},
                 {"scale", s.scale}};
    if (!s.suffix.empty()) item["suffix"] = s.suffix;
    if (s.sparse) item["sparse"] = true;
    series.push_back(std::move(item));
  }
  page.data["charts"][chart.id] = {{"x", chart.x_field},
                                   {"x_scale", chart.x_scale},
                                   {"x_label", chart.x_label},
                                   {"series", std::move(series)}};
}

void add_charts(Page& page, const std::vector<LineChart>& charts) {
  const bool pairs = charts.size() == 2 || charts.size() == 4;
  page.body += pairs ? "<div class=\"grid2\">\n" : "<div class=\"grid3\">\n";
  for (const LineChart& chart : charts) add_chart(page, chart);
  page.body += "</div>\n";
}

void add_heat_map(Page& page, HeatMap map, const std::string& id) {
  map.id = id;
  page.body += to_html(map);
  Json values = Json::array();
  for (const auto& row : map.values) {
    Json list = Json::array();
    for (const double value : row) list.push_back(number(std::round(value * 1000) / 1000, false));
    values.push_back(std::move(list));
  }
  page.data["heat"][id] = {
      {"rows", map.rows}, {"columns", map.columns}, {"values", std::move(values)}};
}

void add_phase_area(Page& page, const RunData& run, size_t index) {
  const std::string id = "phases";
  page.body += phase_area(id, run, index);
  Json series = Json::array();
  const std::vector<std::string> fields = {"forward", "backward",  "dispatch",
                                           "comm",    "optimizer", "data"};
  for (size_t p = 0; p < fields.size(); ++p) {
    series.push_back({{"run", index},
                      {"field", "phase_ms." + fields[p]},
                      {"label", phase_names()[p]},
                      {"key", fmt::format("p{} area", p)},
                      {"scale", 1},
                      {"suffix", " ms"}});
  }
  page.data["charts"][id] = {
      {"x", "step"}, {"x_scale", 1}, {"x_label", "steps"}, {"series", std::move(series)}};
}

// The first second of a run in milliseconds.
std::string time_text(double seconds) {
  return seconds < 1 ? step_time_text(1000 * seconds) : duration_text(seconds);
}

std::string tile(const std::string& name, const std::string& value, const std::string& note) {
  return fmt::format("<div class=\"tile\"><dt>{}</dt><dd>{}</dd><dd class=\"note\">{}</dd></div>",
                     name, unbroken(value), unbroken(note));
}

std::string tiles(const RunData& run) {
  const Summary s = summarise(run);
  std::string out = "<dl class=\"tiles\">";
  if (std::isfinite(s.best_val)) {
    out += tile("Held-out loss", loss_text(s.best_val),
                fmt::format("nats per token, best, at step {}", grouped_text(s.best_val_step)));
  }
  out += tile("Training loss", loss_text(s.last_loss),
              run.all.size() >= 20 ? "nats per token, mean of the last tenth" : "nats per token");
  out += tile("Speed", short_text(s.tokens_per_s),
              s.gemm_fraction > 0 ? fmt::format("tokens per second, {:.0f} % of the matrix rate",
                                                100 * s.gemm_fraction)
                                  : "tokens per second");
  if (run.is_moe()) {
    out += tile("Imbalance", fmt::format("{:.2f}", s.imbalance),
                "busiest expert over the mean, worst layer");
    out += tile("Dropped", fmt::format("{:.{}f} %", 100 * s.dropped, s.dropped > 0 ? 1 : 0),
                s.dead_experts == 0
                    ? "of the assignments; no dead expert"
                    : fmt::format("of the assignments; {} without a token", s.dead_experts));
  }
  const int64_t steps = run.all.back().step;
  out += tile("Training time", time_text(s.time_s),
              fmt::format("{} {}, {} tokens", grouped_text(steps), steps == 1 ? "step" : "steps",
                          short_text(static_cast<double>(run.all.back().tokens))));
  out += tile("Peak memory", bytes_text(static_cast<double>(s.mem_peak_bytes)),
              "accounted, heaviest rank");
  return out + "</dl>\n";
}

std::string run_table(const std::vector<RunData>& runs) {
  std::string out =
      "<div class=\"chart\" style=\"margin-top:28px\"><div class=\"scroll\" tabindex=\"0\" "
      "role=\"region\" aria-label=\"Key numbers of the runs\"><table class=\"runs\">"
      "<thead><tr><th>run</th><th>steps</th><th>held out, best</th><th>training, last</th>"
      "<th>tokens/s</th><th>imbalance</th><th>dropped</th><th>time</th><th>memory</th></tr>"
      "</thead><tbody>";
  for (size_t r = 0; r < runs.size(); ++r) {
    const std::string name = fmt::format(
        "<i class=\"key c{} solid\" style=\"display:inline-block;vertical-align:middle;"
        "margin-right:8px\"></i>{}",
        r % 8, escape(runs[r].name));
    if (runs[r].all.empty()) {
      out += fmt::format("<tr><td>{}</td><td colspan=\"8\">no step was logged yet</td></tr>", name);
      continue;
    }
    const Summary s = summarise(runs[r]);
    const bool moe = runs[r].is_moe();
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td></tr>",
        name, grouped_text(runs[r].all.back().step),
        std::isfinite(s.best_val) ? loss_text(s.best_val) : "never", loss_text(s.last_loss),
        short_text(s.tokens_per_s), moe ? fmt::format("{:.2f}", s.imbalance) : "dense",
        moe ? fmt::format("{:.1f} %", 100 * s.dropped) : "dense", time_text(s.time_s),
        bytes_text(static_cast<double>(s.mem_peak_bytes)));
  }
  return out + "</tbody></table></div></div>\n";
}

void add_heat_maps(Page& page, const std::vector<RunData>& runs) {
  size_t shown = 0;
  size_t with_loads = 0;
  for (const RunData& run : runs) with_loads += run.loads.steps.empty() ? 0 : 1;
  if (with_loads == 0) return;
  page.body += heat_legend();
  for (size_t r = 0; r < runs.size() && shown < kRunsWithHeatMaps; ++r) {
    const ExpertLoads& loads = runs[r].loads;
    if (loads.steps.empty()) continue;
    ++shown;
    size_t experts = 1;
    for (const ExpertLayer& layer : loads.layers) {
      experts = std::max(experts, static_cast<size_t>(layer.experts));
    }
    // Bounded numbers of cells: about 6 000 for each run's main map, 10 000 for the folded ones.
    const size_t main_cells = with_loads > 1 ? 12000 / with_loads : 6000;
    const size_t width = std::clamp<size_t>(main_cells / experts, 12, 90);
    const size_t folded = std::min<size_t>(loads.layers.size(), 8);
    const size_t folded_width = std::clamp<size_t>(10000 / (experts * folded), 12, 90);
    const size_t worst = worst_layer(loads);
    page.body += "<div class=\"grid2\">\n";
    HeatMap over_steps = experts_by_steps(loads, worst, width);
    HeatMap over_layers = layers_by_experts(loads);
    if (with_loads > 1) {
      over_steps.title = runs[r].name + ": " + over_steps.title;
      over_layers.title = runs[r].name + ": " + over_layers.title;
    } else if (loads.layers.size() > 1) {
      over_steps.title += ", the least even";
    }
    add_heat_map(page, std::move(over_steps), fmt::format("experts-steps-{}", r));
    add_heat_map(page, std::move(over_layers), fmt::format("layers-experts-{}", r));
    page.body += "</div>\n";
    if (with_loads > 1 || loads.layers.size() < 2) continue;
    page.body += "<details><summary>The other layers</summary><div class=\"inner grid2\">\n";
    for (size_t i = 0, more = 0; i < loads.layers.size() && more < 7; ++i) {
      if (i == worst) continue;
      ++more;
      add_heat_map(page, experts_by_steps(loads, i, folded_width),
                   fmt::format("experts-layer-{}", i));
    }
    page.body += "</div></details>\n";
  }
  if (with_loads > shown) {
    page.body +=
        fmt::format("<p class=\"where\">Heat maps of the first {} runs are shown.</p>\n", shown);
  }
}

void add_configurations(Page& page, const std::vector<RunData>& runs) {
  page.body += "<h2 id=\"configuration\">Configuration</h2>\n";
  for (const RunData& run : runs) {
    if (run.config.empty()) {
      page.body +=
          fmt::format("<p class=\"where\">{} has no config.resolved.yaml.</p>\n", escape(run.name));
      continue;
    }
    constexpr size_t kMost = 60000;
    page.body += fmt::format(
        "<details{}><summary>{}/config.resolved.yaml</summary><pre tabindex=\"0\">{}{}</pre>"
        "</details>\n",
        runs.size() == 1 ? " open" : "", escape(run.name), escape(run.config.substr(0, kMost)),
        run.config.size() > kMost ? "\n..." : "");
  }
}

void add_table(Page& page, const RunData& run, bool several) {
  constexpr size_t kLines = 40;
  const bool moe = run.is_moe();
  const size_t stride = (run.rows.size() + kLines - 1) / kLines;
  std::string title = several ? run.name + ": logged steps" : "Logged steps";
  if (stride > 1) title += fmt::format(", one in {} of {}", stride, run.rows.size());
  page.body += fmt::format(
      "<details><summary>{}</summary><div class=\"inner scroll\" tabindex=\"0\" "
      "role=\"region\" aria-label=\"Logged steps of {}\"><table><thead><tr><th>step</th>"
      "<th>loss</th><th>held out</th><th>lr</th><th>gradient norm</th><th>tokens/s</th>"
      "<th>ms a step</th><th>imbalance</th><th>dropped</th></tr></thead><tbody>",
      escape(title), escape(run.name));
  for (size_t i = 0; i < run.rows.size(); ++i) {
    if (i % stride != 0 && i + 1 != run.rows.size()) continue;
    const StepMetrics& m = run.rows[i];
    page.body += fmt::format(
        "<tr><td>{}</td><td>{:.4f}</td><td>{}</td><td>{:.2e}</td><td>{:.3g}</td><td>{}</td>"
        "<td>{:.4g}</td><td>{}</td><td>{}</td></tr>",
        grouped_text(m.step), m.loss, m.val_loss ? fmt::format("{:.4f}", *m.val_loss) : "", m.lr,
        m.grad_norm, short_text(m.tokens_per_s), m.step_ms,
        moe ? fmt::format("{:.3f}", m.load_max_over_mean) : "dense",
        moe ? fmt::format("{:.2f} %", 100 * m.dropped_fraction) : "dense");
  }
  page.body += "</tbody></table></div></details>\n";
}

void add_sections(Page& page, const std::vector<RunData>& runs, size_t filled) {
  const auto only =
      std::find_if(runs.begin(), runs.end(), [](const RunData& run) { return !run.all.empty(); });
  page.body +=
      "<main>\n<h2 id=\"loss\">Loss</h2>\n<p>Of the language model alone, without balance "
      "terms. Time is training time, without evaluation and saving.</p>\n";
  add_charts(page, loss_charts(runs));
  const bool moe =
      std::any_of(runs.begin(), runs.end(), [](const RunData& run) { return run.is_moe(); });
  if (moe) {
    page.body +=
        "<h2 id=\"experts\">Experts</h2>\n<p>Tokens sent to each expert before drops, "
        "over the mean of its layer. Pale is balanced.</p>\n";
    add_heat_maps(page, runs);
    add_charts(page, expert_charts(runs));
  }
  page.body +=
      "<h2 id=\"optimisation\">Optimisation</h2>\n<p>Spikes of the gradient norm come "
      "before trouble with the loss.</p>\n";
  add_charts(page, optimisation_charts(runs));
  page.body +=
      "<h2 id=\"time\">Where the time went</h2>\n<p>Exclusive times of the mean step; what "
      "no phase claims is other.</p>\n";
  if (filled == 1) {
    page.body += "<div class=\"grid3\">\n";
    add_phase_area(page, *only, static_cast<size_t>(only - runs.begin()));
  } else {
    page.body += phase_bars("phases", runs) + "<div class=\"grid2\">\n";
  }
  for (const LineChart& chart : speed_charts(runs)) add_chart(page, chart);
  page.body += "</div>\n";
  add_configurations(page, runs);
  page.body += "<h2 id=\"steps\">Values</h2>\n";
  for (const RunData& run : runs) {
    if (!run.all.empty()) add_table(page, run, runs.size() > 1);
  }
  page.body += "</main>\n";
}

void add_header(Page& page, const std::vector<RunData>& runs, size_t filled) {
  std::string names, dirs;
  for (const RunData& run : runs) {
    names += (names.empty() ? "" : ", ") + run.name;
    dirs += (dirs.empty() ? "" : ", ") + run.dir;
  }
  page.body += fmt::format(
      "<header>\n<p class=\"kicker\">Troupe training report</p>\n<h1>{}</h1>\n"
      "<p class=\"where\">{}</p>\n",
      escape(names), escape(dirs));
  if (filled == 0) {
    page.body +=
        "<p class=\"notice\" role=\"status\">No step has been logged yet: there is nothing "
        "to draw. Run the training past its first logged step and make the report "
        "again.</p>\n";
    return;
  }
  const auto sentences = verdict(runs);
  page.body += fmt::format(
      "<ol class=\"verdict\"><li><b>Learning</b><span>{}</span></li><li><b>Balance</b>"
      "<span>{}</span></li><li><b>Time</b><span>{}</span></li></ol>\n",
      unbroken(escape(sentences[0])), unbroken(escape(sentences[1])),
      unbroken(escape(sentences[2])));
  if (std::all_of(runs.begin(), runs.end(), [](const RunData& r) { return r.all.size() < 2; })) {
    page.body +=
        "<p class=\"notice\" role=\"status\">Only one step has been logged: the charts show "
        "single points, and nothing can be said about a trend.</p>\n";
  }
}

}  // namespace

std::string page(const std::vector<RunData>& runs) {
  Page page;
  std::string title;
  size_t filled = 0;
  for (const RunData& run : runs) {
    title += (title.empty() ? "" : ", ") + run.name;
    filled += run.all.empty() ? 0 : 1;
    page.data["runs"].push_back({{"name", run.name},
                                 {"dir", run.dir},
                                 {"logged_steps", run.all.size()},
                                 {"rows", rows_as_columns(run)}});
  }
  add_header(page, runs, filled);
  if (filled > 0) {
    page.body += runs.size() > 1 ? run_table(runs) : tiles(runs.front());
  }
  page.body += "</header>\n";
  if (filled > 0) {
    add_sections(page, runs, filled);
  } else {
    page.body += "<main>\n";
    add_configurations(page, runs);
    page.body += "</main>\n";
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"troupe report\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n"
      "<title>Troupe report: {}</title>\n<style>{}</style>\n</head>\n<body>\n{}"
      "<footer>Made by troupe report from metrics.jsonl, experts.bin and config.resolved.yaml. "
      "Charts are read out by pointer or arrow keys.</footer>\n"
      "<div id=\"tip\" role=\"status\" aria-live=\"polite\"></div>\n"
      "<script type=\"application/json\" id=\"troupe-data\">{}</script>\n"
      "<script>{}</script>\n</body>\n</html>\n",
      escape(title), style_sheet(), page.body,
      escape_json(page.data.dump(-1, ' ', false, Json::error_handler_t::replace)), script());
}

}  // namespace troupe::report_page
