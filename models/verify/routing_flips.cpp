#include "models/verify/routing_flips.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "moe/routers/table.h"

namespace troupe::laws {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();

std::vector<int32_t> experts_of(const SparseAssignment& assignment, int64_t token) {
  const auto at = static_cast<size_t>(token);
  return {assignment.expert.begin() + assignment.token_begin[at],
          assignment.expert.begin() + assignment.token_begin[at + 1]};
}

// The two runs at one layer.
struct Pair {
  const LayoutRun& law;
  const LawResult& one;
  const LawResult& other;
  const MoEConfig& moe;
  const RouterDescriptor& router;
  size_t layer = 0;

  const std::vector<double>& scores(bool first) const {
    return (first ? one : other).selection[layer];
  }
  double score(bool first, int64_t sample, int64_t token, int32_t expert) const {
    const int64_t row = sample * law.engine.model.seq_len + token;
    return scores(first)[static_cast<size_t>(row * moe.experts + expert)];
  }
  std::vector<int32_t> chosen(bool first, int64_t sample, int64_t token) const {
    return experts_of((first ? one : other).assignments[layer][static_cast<size_t>(sample)], token);
  }
};

// What the draw that left out an expert in one run was held against.
double drawn_against(const Pair& runs, bool first, int64_t sample, int64_t token, int32_t best,
                     int32_t expert) {
  return runs.router.drawn_against(runs.score(first, sample, token, best),
                                   runs.score(first, sample, token, expert));
}

// A token's choices, place by place.
void token_flips(const Pair& runs, int64_t sample, int64_t token, std::vector<Flip>& out) {
  const std::vector<int32_t> a = runs.chosen(true, sample, token);
  const std::vector<int32_t> b = runs.chosen(false, sample, token);
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    Flip flip{static_cast<int64_t>(runs.layer), sample, token, i < a.size() ? a[i] : -1,
              i < b.size() ? b[i] : -1,         kFar};
    if (flip.expert == flip.other) continue;
    if (flip.expert >= 0 && flip.other >= 0) {
      flip.margin = std::abs(runs.score(true, sample, token, flip.expert) -
                             runs.score(true, sample, token, flip.other));
    } else if (runs.router.drawn_against != nullptr && i > 0 && a[0] == b[0]) {
      const int32_t left_out = std::max(flip.expert, flip.other);
      flip.margin = std::abs(drawn_against(runs, true, sample, token, a[0], left_out) -
                             drawn_against(runs, false, sample, token, a[0], left_out));
    }
    out.push_back(flip);
  }
}

using Place = std::pair<int64_t, int64_t>;  // sample, token

// The tokens of each group of expert choice, as (sample, token).
std::vector<std::vector<Place>> groups_of(const Pair& runs) {
  const int64_t seq_len = runs.law.engine.model.seq_len;
  const int64_t samples = runs.law.engine.global_batch;
  const GroupRule& rule = runs.moe.group;
  std::vector<std::vector<Place>> out;
  if (rule.kind == GroupRule::Kind::across_batch) {
    for (int64_t first = 0; first < samples; first += rule.sequences) {
      for (int64_t token = 0; token < seq_len; ++token) {
        out.emplace_back();
        for (int64_t s = first; s < std::min(first + rule.sequences, samples); ++s)
          out.back().emplace_back(s, token);
      }
    }
    return out;
  }
  require(rule.kind == GroupRule::Kind::sequence, "flips of expert choice in groups of tokens");
  for (int64_t sample = 0; sample < samples; ++sample) {
    out.emplace_back();
    for (int64_t token = 0; token < seq_len; ++token) out.back().emplace_back(sample, token);
  }
  return out;
}

// Tokens that an expert took in one run only.
void expert_flips(const Pair& runs, const std::vector<Place>& group, int32_t expert,
                  std::vector<Flip>& out) {
  std::vector<Place> only_one;
  std::vector<Place> only_other;
  for (const Place& place : group) {
    const auto takes = [&](bool first) {
      const std::vector<int32_t> chosen = runs.chosen(first, place.first, place.second);
      return std::find(chosen.begin(), chosen.end(), expert) != chosen.end();
    };
    const bool a = takes(true);
    const bool b = takes(false);
    if (a && !b) only_one.push_back(place);
    if (b && !a) only_other.push_back(place);
  }
  const auto nearest = [&](const Place& from, const std::vector<Place>& to) {
    double gap = kFar;
    for (const Place& place : to) {
      gap = std::min(gap, std::abs(runs.score(true, from.first, from.second, expert) -
                                   runs.score(true, place.first, place.second, expert)));
    }
    return gap;
  };
  const auto layer = static_cast<int64_t>(runs.layer);
  for (const Place& p : only_one)
    out.push_back({layer, p.first, p.second, expert, -1, nearest(p, only_other)});
  for (const Place& p : only_other)
    out.push_back({layer, p.first, p.second, -1, expert, nearest(p, only_one)});
}

}  // namespace

std::string text(const Flip& flip) {
  const auto shown = [](int32_t expert) {
    return expert < 0 ? std::string("none") : fmt::format("{}", expert);
  };
  return fmt::format("step 1, MoE layer {}, sample {}, token {}: expert {}, not {}; margin {:.3g}",
                     flip.layer, flip.sample, flip.token, shown(flip.expert), shown(flip.other),
                     flip.margin);
}

std::vector<Flip> routing_flips(const LayoutRun& law, const LawResult& one,
                                const LawResult& other) {
  std::vector<Flip> out;
  const auto first =
      std::find_if(law.engine.model.moe.begin(), law.engine.model.moe.end(),
                   [](const std::optional<MoEConfig>& moe) { return moe.has_value(); });
  require(first != law.engine.model.moe.end(), "flips of a model without experts");
  const Pair runs{law, one, other, **first, router_named((*first)->router), 0};
  // Without scores (hash) every difference is a bug: its margin stays infinite.
  const bool scored = !one.selection.at(0).empty() && !other.selection.at(0).empty();
  const bool experts_choose = runs.router.choices(runs.moe.router_options) == 0;
  if (scored && experts_choose) {
    for (const std::vector<Place>& group : groups_of(runs)) {
      for (int32_t e = 0; e < runs.moe.experts; ++e) expert_flips(runs, group, e, out);
    }
    return out;
  }
  for (int64_t sample = 0; sample < law.engine.global_batch; ++sample) {
    for (int64_t token = 0; token < law.engine.model.seq_len; ++token) {
      if (scored) {
        token_flips(runs, sample, token, out);
      } else if (runs.chosen(true, sample, token) != runs.chosen(false, sample, token)) {
        out.push_back({0, sample, token, -1, -1, kFar});
      }
    }
  }
  return out;
}

double largest_margin(const std::vector<Flip>& flips) {
  double largest = 0;
  for (const Flip& flip : flips) largest = std::max(largest, flip.margin);
  return largest;
}

}  // namespace troupe::laws
