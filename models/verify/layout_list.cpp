#include "models/verify/layout_list.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/base/error.h"
#include "models/layouts/layout_text.h"

namespace troupe {
namespace {

// The triples whose product is `n`, the first falling.
std::vector<std::array<int, 3>> triples(int n) {
  std::vector<std::array<int, 3>> list;
  for (int a = n; a >= 1; --a) {
    if (n % a != 0) continue;
    for (int b = n / a; b >= 1; --b) {
      if (n / a % b == 0) list.push_back({a, b, n / a / b});
    }
  }
  return list;
}

}  // namespace

int acting_ranks_per_node(const Parallelism& p) {
  if (p.ep_kind == EpKind::flat) return 0;
  const int64_t ranks = int64_t{p.shape[Axis::ep]} * p.shape[Axis::etp];
  return static_cast<int>(std::clamp<int64_t>(ranks / 2, 1, 1 << 20));
}

std::vector<std::string> acting_choices(const VerifiedLayout& layout) {
  const Parallelism& p = layout.parallelism;
  const MeshShape& shape = p.shape;
  std::vector<std::string> words;
  const auto add = [&](bool acts, std::string word) {
    if (acts) words.push_back(std::move(word));
  };
  add(shape[Axis::tp] > 1, p.sp ? "sp" : "no sp");
  add(shape[Axis::dp] * shape[Axis::cp] > 1 || shape[Axis::edp] > 1,
      fmt::format("zero {}", p.zero));
  add(shape[Axis::pp] > 1, name(p.schedule));
  add(shape[Axis::pp] > 1, fmt::format("chunks {}", p.virtual_stages));
  add(shape[Axis::cp] > 1, name(p.cp_kind));
  add(shape[Axis::ep] > 1, name(p.ep_kind));
  add(shape[Axis::ep] > 1, fmt::format("overlap {}", layout.overlap));
  return words;
}

namespace {

// All choices for one factorisation that differ in what acts, legal or not.
std::vector<VerifiedLayout> choices(const MeshShape& shape, const LayoutInputs& subject,
                                    const ListOptions& options) {
  std::vector<VerifiedLayout> list;
  std::set<std::vector<std::string>> seen;
  const std::vector<int> overlaps = options.longest_overlap > 1
                                        ? std::vector<int>{1, options.longest_overlap}
                                        : std::vector<int>{1};
  struct Pipeline {
    PipelineSchedule schedule;
    int chunks;
  };
  const std::array<Pipeline, 5> pipelines = {{{PipelineSchedule::one_f_one_b, 1},
                                              {PipelineSchedule::gpipe, 1},
                                              {PipelineSchedule::interleaved, 1},
                                              {PipelineSchedule::interleaved, 2},
                                              {PipelineSchedule::zero_bubble, 1}}};
  for (CpKind cp : {CpKind::ring, CpKind::all_to_all}) {
    for (const Pipeline& pipeline : pipelines) {
      for (int zero = 0; zero <= 3; ++zero) {
        for (bool sp : {true, false}) {
          for (EpKind ep : {EpKind::flat, EpKind::hierarchical}) {
            for (int overlap : overlaps) {
              VerifiedLayout layout{Parallelism(shape), overlap, {}};
              Parallelism& p = layout.parallelism;
              p.sp = sp && shape[Axis::tp] > 1;
              p.zero = zero;
              p.schedule = pipeline.schedule;
              p.virtual_stages = pipeline.chunks;
              p.cp_kind = cp;
              p.ep_kind = ep;
              p.ranks_per_node = options.ranks_per_node;
              if (p.ranks_per_node == 0) p.ranks_per_node = acting_ranks_per_node(p);
              // Where stages do not ask for a schedule, a balance term may.
              if (subject.exact_batch && shape[Axis::pp] == 1) {
                p.schedule = PipelineSchedule::gpipe;
                p.virtual_stages = 1;
              }
              if (seen.insert(acting_choices(layout)).second) list.push_back(layout);
            }
          }
        }
      }
    }
  }
  return list;
}

using Pairs = std::set<std::pair<std::string, std::string>>;

Pairs pairs_of(const VerifiedLayout& layout) {
  const std::vector<std::string> words = acting_choices(layout);
  Pairs pairs;
  for (size_t i = 0; i < words.size(); ++i) {
    for (size_t j = i; j < words.size(); ++j) pairs.emplace(words[i], words[j]);
  }
  return pairs;
}

// The choice that brings most pairs that were not there; of equal ones the one that was met least.
VerifiedLayout pick(std::vector<VerifiedLayout> open, size_t turn, Pairs& covered) {
  const auto refused = [](const VerifiedLayout& layout) { return !layout.refused.empty(); };
  if (std::all_of(open.begin(), open.end(), refused)) return open.front();
  std::erase_if(open, refused);
  size_t best = 0;
  size_t most = 0;
  for (size_t i = 0; i < open.size(); ++i) {
    const size_t at = (turn * 7 + i) % open.size();  // so that ties are not always the first
    size_t fresh = 0;
    for (const auto& pair : pairs_of(open[at])) fresh += covered.count(pair) == 0 ? 1 : 0;
    if (i == 0 || fresh > most) {
      best = at;
      most = fresh;
    }
  }
  covered.merge(pairs_of(open[best]));
  return open[best];
}

}  // namespace

std::string describe(const VerifiedLayout& layout) {
  std::string text = describe(layout.parallelism);
  if (layout.overlap > 1) text += fmt::format(", overlap {}", layout.overlap);
  return text;
}

std::vector<MeshShape> factorisations(int ranks) {
  std::vector<MeshShape> list;
  for (int pp = 1; pp <= ranks; ++pp) {
    if (ranks % pp != 0) continue;
    for (const auto& [dp, cp, tp] : triples(ranks / pp)) {
      for (const auto& experts : triples(ranks / pp)) {
        list.push_back(MeshShape::of({pp, dp, cp, tp, experts[1], experts[2]}));
      }
    }
  }
  return list;
}

std::vector<VerifiedLayout> all_layouts(const LayoutInputs& subject, const ListOptions& options) {
  std::vector<VerifiedLayout> list;
  Pairs covered;
  size_t turn = 0;
  for (const MeshShape& shape : factorisations(options.ranks)) {
    std::vector<VerifiedLayout> open = choices(shape, subject, options);
    for (VerifiedLayout& layout : open)
      layout.refused = broken_layout_rules(layout.parallelism, subject, options.ranks);
    if (options.exhaustive) {
      list.insert(list.end(), open.begin(), open.end());
    } else {
      list.push_back(pick(std::move(open), turn++, covered));
    }
  }
  return list;
}

}  // namespace troupe
