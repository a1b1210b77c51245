// Which layouts are verified: the factorisations of a number of ranks, and the choices that go with
// each of them.
#pragma once

#include <string>
#include <vector>

#include "models/layouts/layout_rules.h"

namespace troupe {

struct VerifiedLayout {
  Parallelism parallelism;
  int overlap = 1;                     // chunks of moe.overlap
  std::vector<LayoutProblem> refused;  // why it cannot be; empty: it runs
};

// "dp 4 x tp 2, sp, overlap 2"
std::string describe(const VerifiedLayout& layout);

// Every pp x dp x cp x tp with every edp x ep x etp over `ranks` ranks.
std::vector<MeshShape> factorisations(int ranks);

struct ListOptions {
  int ranks = 8;
  bool exhaustive = false;  // every choice with every factorisation, instead of a cover of pairs
  int ranks_per_node = 0;   // 0: where it acts two nodes for each group of experts
  int longest_overlap = 1;  // moe.overlap is 1 or this
};

// ranks_per_node that gives hierarchical exchange two nodes to cross between, which one host cannot
// give: half the ranks of an expert group on each. 0 = no matter.
int acting_ranks_per_node(const Parallelism& p);

// The choices that act in a layout, as words: "sp", "zero 2", "overlap 1". Those without effect (a
// schedule on one stage) are left out.
std::vector<std::string> acting_choices(const VerifiedLayout& layout);

// One layout per factorisation (with exhaustive: all), in a fixed order. Those that run differ in
// sp, zero, schedule and virtual_stages, cp_kind, ep_kind and overlap so that every pair of values
// that can act together does so in one of them.
std::vector<VerifiedLayout> all_layouts(const LayoutInputs& subject, const ListOptions& options);

}  // namespace troupe
