#include "launch/app/layout_view.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "launch/config/run_cost.h"
#include "models/cost/estimate.h"
#include "models/layouts/layout_text.h"

namespace troupe {
namespace {

struct Sharing {
  Axis axis;
  const char* what;
};
constexpr std::array<Sharing, 7> kSharing = {{
    {Axis::pp, "layers: each has some"},
    {Axis::dp, "weights outside the experts: each has other sequences"},
    {Axis::cp, "sequences: each has some positions"},
    {Axis::tp, "matrices outside the experts: each has a part"},
    {Axis::edp, "weights of the same experts: each has other tokens"},
    {Axis::ep, "experts: each has some"},
    {Axis::etp, "each expert: each has a part"},
}};

int at(const std::array<int, kAxes>& coordinates, Axis axis) {
  return coordinates[static_cast<size_t>(axis)];
}

// The ranks that differ on this axis of its folding only.
std::vector<std::vector<int>> groups_of(const MeshShape& shape, Axis axis) {
  const bool experts = axis == Axis::edp || axis == Axis::ep || axis == Axis::etp;
  const std::vector<Axis> folding =
      experts ? std::vector<Axis>{Axis::pp, Axis::edp, Axis::ep, Axis::etp}
              : std::vector<Axis>{Axis::pp, Axis::dp, Axis::cp, Axis::tp};
  std::map<std::vector<int>, std::vector<int>> groups;
  for (int rank = 0; rank < shape.world(); ++rank) {
    const auto where = coordinates(shape, rank);
    std::vector<int> key;
    for (Axis other : folding) {
      if (other != axis) key.push_back(at(where, other));
    }
    groups[key].push_back(rank);
  }
  std::vector<std::vector<int>> list;
  for (auto& [key, ranks] : groups) list.push_back(std::move(ranks));
  return list;
}

std::string amount(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1000000000) return fmt::format("{:.2f} GB", value / 1e9);
  if (bytes >= 1000000) return fmt::format("{:.2f} MB", value / 1e6);
  if (bytes >= 1000) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string shown(const std::vector<std::vector<int>>& groups) {
  std::string text;
  for (size_t i = 0; i < groups.size() && i < 8; ++i) {
    text += fmt::format("{}{{{}}}", i == 0 ? "" : " ", fmt::join(groups[i], " "));
  }
  return groups.size() > 8 ? text + fmt::format(" and {} more", groups.size() - 8) : text;
}

int node_of(const Parallelism& p, int rank) {
  return p.ranks_per_node > 0 ? rank / p.ranks_per_node : 0;
}

constexpr const char* kSvgMark = "<!-- made by troupe layout -->\n";
constexpr int kCell = 116;
constexpr int kLine = 22;

std::string text_at(int x, int y, const std::string& text, const char* style = "") {
  return fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>\n", x, y, style, text);
}

// Colours of the experts' parts, told apart also by their text.
std::string colour(int index, int count) {
  return fmt::format("hsl({}, 55%, 82%)", count > 1 ? 360 * index / count : 210);
}

}  // namespace

std::vector<LinkTraffic> link_traffic(const RunConfig& config) {
  struct Sum {
    int64_t heaviest = 0;
    int64_t total = 0;
    int64_t between = 0;
    std::map<std::string, int64_t> parts;
  };
  std::map<std::string, Sum> sums;
  for (int rank = 0; rank < config.parallel.shape.world(); ++rank) {
    std::map<std::string, int64_t> own;
    for (const CommunicationPart& part : communication_of_rank(cost_inputs(config), rank).parts) {
      own[part.group] += part.bytes;
      sums[part.group].parts[part.name] += part.bytes;
      sums[part.group].between += part.between_nodes;
    }
    for (const auto& [group, bytes] : own) {
      sums[group].heaviest = std::max(sums[group].heaviest, bytes);
      sums[group].total += bytes;
    }
  }
  std::vector<LinkTraffic> list;
  for (const auto& [group, sum] : sums) {
    std::vector<std::pair<int64_t, std::string>> parts;
    for (const auto& [name, bytes] : sum.parts) parts.emplace_back(-bytes, name);
    std::sort(parts.begin(), parts.end());
    std::string what;
    for (const auto& [bytes, name] : parts) what += (what.empty() ? "" : ", ") + name;
    list.push_back({group, what, sum.heaviest, sum.total, sum.between});
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const LinkTraffic& a, const LinkTraffic& b) { return a.total > b.total; });
  return list;
}

namespace {

std::string traffic_row(const std::string& over, int64_t heaviest, int64_t total, int64_t between,
                        const std::string& what) {
  return fmt::format("  {:<12} {:>12} {:>12} {:>12} {:>14}  {}\n", over, amount(heaviest),
                     amount(total), amount(total - between), amount(between), what);
}

std::string traffic_table(const RunConfig& config) {
  std::string text = fmt::format(
      "sent per step, routing taken as even:\n  {:<12} {:>12} {:>12} {:>12} {:>14}  {}\n", "over",
      "one rank", "all ranks", "in a node", "between nodes", "what");
  int64_t total = 0;
  int64_t between = 0;
  for (const LinkTraffic& link : link_traffic(config)) {
    text += traffic_row(link.group, link.heaviest, link.total, link.between_nodes, link.what);
    total += link.total;
    between += link.between_nodes;
  }
  const int64_t heaviest = estimate_communication(cost_inputs(config)).bytes_per_step;
  text += traffic_row("all", heaviest, total, between, "");
  if (config.parallel.ranks_per_node == 0) {
    text += "parallel.ranks_per_node: auto: all ranks are taken to be on one node\n";
  }
  return text;
}

}  // namespace

std::string layout_table(const RunConfig& config) {
  const Parallelism& p = config.parallel;
  const MeshShape& shape = p.shape;
  std::string text = fmt::format("{} ranks: {}\n\n", shape.world(), describe(p));
  text += fmt::format("{:>5} {:>5} | {:>3} {:>3} {:>3} {:>3} | {:>4} {:>3} {:>3}\n", "rank", "node",
                      "pp", "dp", "cp", "tp", "edp", "ep", "etp");
  for (int rank = 0; rank < shape.world(); ++rank) {
    const auto where = coordinates(shape, rank);
    text += fmt::format("{:>5} {:>5} | {:>3} {:>3} {:>3} {:>3} | {:>4} {:>3} {:>3}\n", rank,
                        p.ranks_per_node > 0 ? std::to_string(node_of(p, rank)) : "auto",
                        at(where, Axis::pp), at(where, Axis::dp), at(where, Axis::cp),
                        at(where, Axis::tp), at(where, Axis::edp), at(where, Axis::ep),
                        at(where, Axis::etp));
  }
  text += "\nranks that share:\n";
  for (const Sharing& sharing : kSharing) {
    if (shape[sharing.axis] == 1) continue;
    text += fmt::format("  {:<4} {:<52} {}\n", name(sharing.axis), sharing.what,
                        shown(groups_of(shape, sharing.axis)));
  }
  return text + "\n" + traffic_table(config);
}

bool is_layout_svg(std::string_view beginning) { return beginning.starts_with(kSvgMark); }

std::string layout_svg(const RunConfig& config) {
  const Parallelism& p = config.parallel;
  const MeshShape& shape = p.shape;
  const int columns = shape[Axis::cp] * shape[Axis::tp];
  const int rows = shape[Axis::pp] * shape[Axis::dp];
  const std::vector<LinkTraffic> links = link_traffic(config);
  const int left = 110;
  const int top = 70;
  const int below = top + rows * kCell + shape[Axis::pp] * kLine + 20;
  const int width = std::max(left + columns * kCell + 20, 840);
  const int height = below + (static_cast<int>(links.size()) + 2) * kLine;
  std::string out = kSvgMark;
  out += fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{0}\" height=\"{1}\" "
      "fill=\"white\"/>\n",
      width, height);
  out += text_at(20, 28, fmt::format("{} ranks: {}", shape.world(), describe(p)),
                 " font-size=\"16\" font-weight=\"bold\"");
  out += text_at(20, 50,
                 "a row is a data rank, a column a part of its tokens and matrices; colours "
                 "are the experts held",
                 " fill=\"#555\"");
  for (int rank = 0; rank < shape.world(); ++rank) {
    const auto where = coordinates(shape, rank);
    const int row = at(where, Axis::pp) * shape[Axis::dp] + at(where, Axis::dp);
    const int column = at(where, Axis::cp) * shape[Axis::tp] + at(where, Axis::tp);
    const int x = left + column * kCell;
    const int y = top + row * kCell + at(where, Axis::pp) * kLine;
    if (column == 0) {
      out += text_at(20, y + 50, fmt::format("dp {}", at(where, Axis::dp)));
      if (shape[Axis::pp] > 1)
        out += text_at(20, y + 72, fmt::format("stage {}", at(where, Axis::pp)));
    }
    out += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"{}\" "
        "stroke=\"#444\"/>\n",
        x, y, kCell - 8, kCell - 8, colour(at(where, Axis::ep), shape[Axis::ep]));
    out += text_at(x + 8, y + 24, fmt::format("rank {}", rank), " font-weight=\"bold\"");
    out += text_at(x + 8, y + 48,
                   fmt::format("cp {}  tp {}", at(where, Axis::cp), at(where, Axis::tp)));
    out += text_at(x + 8, y + 72,
                   fmt::format("ep {}  etp {}", at(where, Axis::ep), at(where, Axis::etp)));
    out += text_at(x + 8, y + 96,
                   p.ranks_per_node > 0
                       ? fmt::format("edp {}  node {}", at(where, Axis::edp), node_of(p, rank))
                       : fmt::format("edp {}", at(where, Axis::edp)));
  }
  out += text_at(20, below, "sent per step over", " font-weight=\"bold\"");
  out += text_at(170, below, "one rank", " font-weight=\"bold\"");
  out += text_at(270, below, "all ranks", " font-weight=\"bold\"");
  out += text_at(370, below, "between nodes", " font-weight=\"bold\"");
  for (size_t i = 0; i < links.size(); ++i) {
    const int y = below + (static_cast<int>(i) + 1) * kLine;
    out += text_at(20, y, links[i].group);
    out += text_at(170, y, amount(links[i].heaviest));
    out += text_at(270, y, amount(links[i].total));
    out += text_at(370, y, amount(links[i].between_nodes));
    out += text_at(490, y, links[i].what, " fill=\"#555\"");
  }
  return out + "</svg>\n";
}

}  // namespace troupe
