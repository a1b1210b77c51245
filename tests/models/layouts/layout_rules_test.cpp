// Each rule of what a layout may not be, one by one, with its key and its nearest legal values.
#include "models/layouts/layout_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "core/base/random.h"
#include "models/model/legal.h"

namespace troupe {
namespace {

LayoutInputs subject() {
  LayoutInputs s;
  s.layers = 8;
  s.heads = 8;
  s.kv_heads = 4;
  s.seq_len = 64;
  s.ffn_dim = 32;
  s.experts = 8;
  s.expert_ffn = 16;
  s.global_batch = 16;
  s.micro_batch = 1;
  return s;
}

// pp, dp, cp, tp, ep, etp
Parallelism layout(int pp, int dp, int cp, int tp, int ep = 1, int etp = 1) {
  return MeshShape::of({pp, dp, cp, tp, ep, etp});
}

struct Case {
  const char* name;
  Parallelism parallelism;
  int world;
  void (*change)(LayoutInputs&, Parallelism&);
  const char* key;   // of the only problem; empty = legal
  const char* text;  // in its rule or fix
};

TEST(LayoutRules, OneByOne) {
  const auto none = [](LayoutInputs&, Parallelism&) {};
  const std::vector<Case> cases = {
      {"one rank", layout(1, 1, 1, 1), 1, none, "", ""},
      {"all axes", layout(2, 2, 2, 2, 4, 2), 16, none, "", ""},
      {"ep beyond dp", layout(1, 2, 1, 4, 8), 8, none, "", ""},
      {"world", layout(1, 2, 1, 1), 3, [](LayoutInputs& s, Parallelism&) { s.global_batch = 12; },
       "parallel.dp", "write dp: auto or dp: 3"},
      {"world that the batch does not fit", layout(1, 2, 1, 1), 3, none, "parallel.dp",
       "(`troupe launch -n 2 ...`); nearest legal layout of 3 ranks: {pp: 3, dp: 1}"},
      {"folded world", layout(2, 1, 1, 1), 3, none, "parallel.dp", "of 3 ranks: {pp: 3}"},
      {"beyond 64 bits", layout(1 << 20, 1 << 20, 1 << 20, 1 << 20), 1,
       [](LayoutInputs& s, Parallelism&) {
         s = LayoutInputs();
         s.layers = 1 << 20;
       },
       "parallel.dp", "needs 9223372036854775807"},
      {"ep", layout(1, 4, 1, 1, 8), 4, none, "parallel.ep", "1, 2, 4"},
      {"etp", layout(1, 4, 1, 1, 1, 8), 4, none, "parallel.etp", "4"},
      {"heads", layout(1, 1, 1, 3), 3,
       [](LayoutInputs& s, Parallelism&) { s.seq_len = s.ffn_dim = 96; }, "parallel.tp",
       "nearest legal layouts of 3 ranks: {cp: 3, tp: 1}, {pp: 3, tp: 1}; or other "
       "model.heads"},
      {"heads that key heads divide", layout(1, 1, 1, 4), 4,
       [](LayoutInputs& s, Parallelism&) { s.heads = 18, s.kv_heads = 2; }, "parallel.tp",
       "values: 1, 2; or model.heads: 16, 20"},
      {"kv_heads below tp", layout(1, 1, 1, 8), 8, none, "", ""},
      {"kv_heads", layout(1, 1, 1, 4), 4,
       [](LayoutInputs& s, Parallelism&) { s.heads = 24, s.kv_heads = 6; }, "parallel.tp",
       "model.kv_heads = 6"},
      {"ffn", layout(1, 1, 1, 4), 4, [](LayoutInputs& s, Parallelism&) { s.ffn_dim = 30; },
       "parallel.tp", "model.ffn_dim"},
      {"shared ffn", layout(1, 1, 1, 4), 4,
       [](LayoutInputs& s, Parallelism&) { s.shared_ffn = 30; }, "parallel.tp", "shared_ffn_dim"},
      {"experts", layout(1, 3, 1, 1, 3), 3,
       [](LayoutInputs& s, Parallelism&) { s.global_batch = 15; }, "parallel.ep", "8 = 2 x 3 + 2"},
      {"expert ffn", layout(1, 4, 1, 1, 1, 4), 4,
       [](LayoutInputs& s, Parallelism&) { s.expert_ffn = 18; }, "parallel.etp", "moe.ffn_dim"},
      {"ring", layout(1, 1, 4, 1), 4, [](LayoutInputs& s, Parallelism&) { s.seq_len = 12; },
       "parallel.cp", "8, 16"},
      {"ring with tp", layout(1, 1, 2, 2), 4, [](LayoutInputs& s, Parallelism&) { s.seq_len = 12; },
       "parallel.cp", "8, 16"},
      {"all_to_all", layout(1, 1, 4, 1), 4,
       [](LayoutInputs& s, Parallelism& p) { s.seq_len = 12, p.cp_kind = CpKind::all_to_all; }, "",
       ""},
      {"all_to_all of heads", layout(1, 1, 4, 4), 16,
       [](LayoutInputs&, Parallelism& p) { p.cp_kind = CpKind::all_to_all; }, "parallel.cp",
       "cp_kind: ring"},
      {"layers", layout(16, 1, 1, 1), 16, none, "parallel.pp", "model.layers = 8"},
      {"chunks", layout(4, 1, 1, 1), 4,
       [](LayoutInputs&, Parallelism& p) {
         p.virtual_stages = 3, p.schedule = PipelineSchedule::interleaved;
       },
       "parallel.pp", "4 x 3 = 12"},
      {"chunks without interleaving", layout(2, 1, 1, 1), 2,
       [](LayoutInputs&, Parallelism& p) { p.virtual_stages = 2; }, "parallel.virtual_stages",
       "interleaved"},
      {"batch", layout(1, 8, 1, 1), 8, [](LayoutInputs& s, Parallelism&) { s.micro_batch = 4; },
       "train.global_batch", "train.micro_batch: 1, 2"},
      {"automatic micro-batch", layout(1, 8, 1, 1), 8,
       [](LayoutInputs& s, Parallelism&) { s.micro_batch = 0; }, "", ""},
      {"interleaved", layout(4, 2, 1, 1), 8,
       [](LayoutInputs& s, Parallelism& p) {
         s.global_batch = 4, p.schedule = PipelineSchedule::interleaved;
       },
       "parallel.schedule", "2 = 0 x 4 + 2"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    LayoutInputs s = subject();
    Parallelism p = c.parallelism;
    c.change(s, p);
    const std::vector<LayoutProblem> problems = layout_problems(p, s, c.world);
    if (std::string(c.key).empty()) {
      EXPECT_TRUE(problems.empty()) << problems.front().key << ": " << problems.front().rule;
      continue;
    }
    ASSERT_EQ(problems.size(), 1U) << (problems.empty() ? "" : problems.back().rule);
    EXPECT_EQ(problems[0].key, c.key);
    EXPECT_NE((problems[0].rule + problems[0].fix).find(c.text), std::string::npos)
        << problems[0].rule << "; " << problems[0].fix;
  }
}

TEST(LayoutRules, AllReasonsAtOnce) {
  LayoutInputs s = subject();
  s.layers = 1;
  s.experts = 6;
  EXPECT_GE(layout_problems(layout(2, 1, 1, 4, 4), s, 16).size(), 3U);
}

// What the product promises, written a second time: nothing else is illegal.
bool promised(const Parallelism& p, const LayoutInputs& s, int world) {
  const int64_t pp = p.shape[Axis::pp];
  const int64_t dp = p.shape[Axis::dp];
  const int64_t cp = p.shape[Axis::cp];
  const int64_t tp = p.shape[Axis::tp];
  const int64_t ep = p.shape[Axis::ep];
  const int64_t etp = p.shape[Axis::etp];
  const bool ring = p.cp_kind == CpKind::ring;
  const bool mesh = pp * dp * cp * tp == world && dp * cp * tp % (ep * etp) == 0;
  const bool heads = s.heads % tp == 0 && (s.kv_heads % tp == 0 || tp % s.kv_heads == 0);
  const bool widths = s.ffn_dim % tp == 0 && s.shared_ffn % tp == 0 && s.expert_ffn % etp == 0 &&
                      s.experts % ep == 0;
  const bool sequence =
      ring && cp > 1 ? s.seq_len % (2 * cp * tp) == 0 : s.seq_len % (cp * tp) == 0;
  const bool exchange = ring || (s.heads / tp) % cp == 0;
  const bool interleaved = p.schedule == PipelineSchedule::interleaved;
  const bool stages = s.layers >= pp * p.virtual_stages && (interleaved || p.virtual_stages == 1);
  if (!mesh || !heads || !widths || !sequence || !exchange || !stages) return false;
  if (s.global_batch % (dp * s.micro_batch) != 0) return false;
  const int64_t micro_batches = s.global_batch / (dp * s.micro_batch);
  const bool exact = s.exact_batch && micro_batches > 1;
  return (!interleaved || micro_batches % pp == 0) &&
         (!exact || p.schedule == PipelineSchedule::gpipe);
}

struct Rng {
  Random random{7, "layouts"};
  uint64_t drawn = 0;
  size_t below(size_t n) { return random.below(drawn++, n); }
};

template <typename T>
T one_of(Rng& random, std::initializer_list<T> values) {
  return values.begin()[random.below(values.size())];
}

LayoutInputs drawn_inputs(Rng& random) {
  LayoutInputs s;
  s.layers = one_of<int64_t>(random, {1, 3, 4, 8, 12});
  s.kv_heads = one_of<int64_t>(random, {1, 2, 3, 4, 8});
  s.heads = s.kv_heads * one_of<int64_t>(random, {1, 2, 4});
  s.seq_len = one_of<int64_t>(random, {24, 36, 48, 96});
  s.ffn_dim = one_of<int64_t>(random, {0, 12, 17, 24});
  s.shared_ffn = one_of<int64_t>(random, {0, 12, 18});
  s.experts = one_of<int64_t>(random, {4, 6, 8, 12});
  s.expert_ffn = one_of<int64_t>(random, {9, 12, 16, 24});
  s.micro_batch = one_of<int64_t>(random, {1, 2, 3});
  s.global_batch = one_of<int64_t>(random, {4, 12, 24, 25});
  s.exact_batch = random.below(5) == 0;
  return s;
}

Parallelism drawn_layout(Rng& random, int world) {
  const auto degree = [&](int of) {
    const std::vector<int64_t> all = divisors(of);
    return random.below(12) == 0 ? 3 : static_cast<int>(all.at(random.below(all.size())));
  };
  const int pp = degree(world);
  const int cp = degree(std::max(1, world / pp));
  const int tp = degree(std::max(1, world / pp / cp));
  const int dp = random.below(12) == 0 ? 2 : std::max(1, world / pp / cp / tp);
  Parallelism p = MeshShape::of({pp, dp, cp, tp, degree(world), degree(2)});
  p.cp_kind = one_of(random, {CpKind::ring, CpKind::all_to_all});
  p.schedule = one_of(random, {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b,
                               PipelineSchedule::interleaved, PipelineSchedule::zero_bubble});
  p.virtual_stages = random.below(4) == 0 ? 2 : 1;
  return p;
}

// The numbers after "nearest legal values: ".
std::vector<int> suggested(const std::string& fix) {
  const std::string words = "nearest legal values: ";
  std::vector<int> found;
  if (!fix.starts_with(words)) return found;
  std::istringstream text(fix.substr(words.size()));
  for (int value = 0; text >> value;) {
    found.push_back(value);
    if (text.get() != ',') break;
  }
  return found;
}

std::set<std::string> broken(const Parallelism& p, const LayoutInputs& s, int world) {
  std::set<std::string> keys;
  for (const LayoutProblem& problem : layout_problems(p, s, world)) keys.insert(problem.key);
  return keys;
}

// Each suggestion mends its key and breaks no other.
int check_suggestions(const LayoutProblem& problem, const Parallelism& p, const LayoutInputs& s,
                      int world) {
  int checked = 0;
  std::set<std::string> others = broken(p, s, world);
  others.erase(problem.key);
  for (const int value : suggested(problem.fix)) {
    Parallelism layout = p;
    LayoutInputs subject = s;
    if (problem.key == "train.global_batch") {
      subject.global_batch = value;
    } else {
      for (Axis axis : {Axis::pp, Axis::cp, Axis::tp, Axis::ep, Axis::etp}) {
        if (problem.key == std::string("parallel.") + name(axis)) layout.shape[axis] = value;
      }
      const MeshShape& shape = layout.shape;
      const int rest = shape[Axis::pp] * shape[Axis::cp] * shape[Axis::tp];
      if (world % rest == 0) layout.shape[Axis::dp] = world / rest;  // dp: auto
      layout.shape.derive_edp();
    }
    const std::set<std::string> left = broken(layout, subject, world);
    EXPECT_TRUE(std::includes(others.begin(), others.end(), left.begin(), left.end()))
        << problem.key << ": " << problem.rule << "; " << problem.fix;
    ++checked;
  }
  return checked;
}

// "{pp: 3, dp: 1}" behind "nearest legal layouts of N ranks: ", as degrees of `p`.
std::vector<Parallelism> suggested_layouts(const std::string& fix, const Parallelism& p) {
  std::vector<Parallelism> found;
  if (fix.find("nearest legal layout") == std::string::npos) return found;
  for (size_t at = fix.find('{'); at != std::string::npos; at = fix.find('{', at + 1)) {
    Parallelism layout = p;
    std::istringstream words(fix.substr(at + 1, fix.find('}', at) - at - 1));
    char comma = 0;
    int value = 0;
    for (std::string key; words >> key >> value; words >> comma) {
      for (Axis axis : {Axis::pp, Axis::dp, Axis::cp, Axis::tp, Axis::ep, Axis::etp}) {
        if (key == std::string(name(axis)) + ":") layout.shape[axis] = value;
      }
    }
    layout.shape.derive_edp();
    found.push_back(layout);
  }
  return found;
}

TEST(LayoutRules, RefuseWhatIsPromisedAndSuggestWhatIsLegal) {
  Rng random;
  int legal = 0;
  int suggestions = 0;
  int layouts = 0;
  for (int i = 0; i < 2000; ++i) {
    const int world = one_of(random, {1, 2, 3, 4, 6, 8, 12, 16});
    const LayoutInputs s = drawn_inputs(random);
    const Parallelism p = drawn_layout(random, world);
    const std::vector<LayoutProblem> problems = layout_problems(p, s, world);
    ASSERT_EQ(problems.empty(), promised(p, s, world))
        << (problems.empty() ? "" : problems[0].key + " " + problems[0].rule);
    legal += problems.empty() ? 1 : 0;
    for (const LayoutProblem& problem : problems) {
      suggestions += check_suggestions(problem, p, s, world);
      for (const Parallelism& layout : suggested_layouts(problem.fix, p)) {
        EXPECT_EQ(layout_refusal(layout, s, world), "") << problem.rule << "; " << problem.fix;
        ++layouts;
      }
    }
  }
  EXPECT_GT(legal, 100);
  EXPECT_GT(suggestions, 1000);
  EXPECT_GT(layouts, 100);
}

TEST(LayoutRules, TheVocabularyIsNotAsked) {
  ModelConfig model;
  model.vocab = 257;
  model.moe.assign(4, std::nullopt);
  EXPECT_TRUE(layout_problems(layout(1, 1, 1, 2), layout_inputs(model), 2).empty());
}

}  // namespace
}  // namespace troupe
