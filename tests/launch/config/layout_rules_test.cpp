// Each rule of what a layout may not be, one by one, with its key and its nearest legal values.
#include "launch/config/layout_rules.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

LayoutSubject subject() {
  LayoutSubject s;
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
  void (*change)(LayoutSubject&, Parallelism&);
  const char* key;   // of the only problem; empty = legal
  const char* text;  // in its rule or fix
};

TEST(LayoutRules, OneByOne) {
  const auto none = [](LayoutSubject&, Parallelism&) {};
  const std::vector<Case> cases = {
      {"one rank", layout(1, 1, 1, 1), 1, none, "", ""},
      {"all axes", layout(2, 2, 2, 2, 4, 2), 16, none, "", ""},
      {"ep beyond dp", layout(1, 2, 1, 4, 8), 8, none, "", ""},
      {"world", layout(1, 2, 1, 1), 3, none, "parallel.dp", "dp: 3"},
      {"folded world", layout(2, 1, 1, 1), 3, none, "parallel.dp", "1, 3"},
      {"ep", layout(1, 4, 1, 1, 8), 4, none, "parallel.ep", "1, 2, 4"},
      {"etp", layout(1, 4, 1, 1, 1, 8), 4, none, "parallel.etp", "4"},
      {"heads", layout(1, 1, 1, 3), 3,
       [](LayoutSubject& s, Parallelism&) { s.seq_len = s.ffn_dim = 96; }, "parallel.tp",
       "8 = 2 x 3 + 2"},
      {"kv_heads below tp", layout(1, 1, 1, 8), 8, none, "", ""},
      {"kv_heads", layout(1, 1, 1, 4), 4,
       [](LayoutSubject& s, Parallelism&) { s.heads = 24, s.kv_heads = 6; }, "parallel.tp",
       "model.kv_heads = 6"},
      {"ffn", layout(1, 1, 1, 4), 4, [](LayoutSubject& s, Parallelism&) { s.ffn_dim = 30; },
       "parallel.tp", "model.ffn_dim"},
      {"shared ffn", layout(1, 1, 1, 4), 4,
       [](LayoutSubject& s, Parallelism&) { s.shared_ffn = 30; }, "parallel.tp", "shared_ffn_dim"},
      {"experts", layout(1, 3, 1, 1, 3), 3,
       [](LayoutSubject& s, Parallelism&) { s.global_batch = 15; }, "parallel.ep", "8 = 2 x 3 + 2"},
      {"expert ffn", layout(1, 4, 1, 1, 1, 4), 4,
       [](LayoutSubject& s, Parallelism&) { s.expert_ffn = 18; }, "parallel.etp", "moe.ffn_dim"},
      {"ring", layout(1, 1, 4, 1), 4, [](LayoutSubject& s, Parallelism&) { s.seq_len = 12; },
       "parallel.cp", "8, 16"},
      {"ring with tp", layout(1, 1, 2, 2), 4,
       [](LayoutSubject& s, Parallelism&) { s.seq_len = 12; }, "parallel.cp", "8, 16"},
      {"all_to_all", layout(1, 1, 4, 1), 4,
       [](LayoutSubject& s, Parallelism& p) { s.seq_len = 12, p.cp_kind = CpKind::all_to_all; }, "",
       ""},
      {"all_to_all of heads", layout(1, 1, 4, 4), 16,
       [](LayoutSubject&, Parallelism& p) { p.cp_kind = CpKind::all_to_all; }, "parallel.cp",
       "cp_kind: ring"},
      {"layers", layout(16, 1, 1, 1), 16, none, "parallel.pp", "model.layers = 8"},
      {"chunks", layout(4, 1, 1, 1), 4,
       [](LayoutSubject&, Parallelism& p) {
         p.virtual_stages = 3, p.schedule = PipelineSchedule::interleaved;
       },
       "parallel.pp", "4 x 3 = 12"},
      {"chunks without interleaving", layout(2, 1, 1, 1), 2,
       [](LayoutSubject&, Parallelism& p) { p.virtual_stages = 2; }, "parallel.virtual_stages",
       "interleaved"},
      {"batch", layout(1, 8, 1, 1), 8, [](LayoutSubject& s, Parallelism&) { s.micro_batch = 4; },
       "train.global_batch", "train.micro_batch: 1, 2"},
      {"automatic micro-batch", layout(1, 8, 1, 1), 8,
       [](LayoutSubject& s, Parallelism&) { s.micro_batch = 0; }, "", ""},
      {"interleaved", layout(4, 2, 1, 1), 8,
       [](LayoutSubject& s, Parallelism& p) {
         s.global_batch = 4, p.schedule = PipelineSchedule::interleaved;
       },
       "parallel.schedule", "2 = 0 x 4 + 2"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    LayoutSubject s = subject();
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
  LayoutSubject s = subject();
  s.layers = 1;
  s.experts = 6;
  EXPECT_GE(layout_problems(layout(2, 1, 1, 4, 4), s, 16).size(), 3U);
}

TEST(LayoutRules, TheVocabularyIsNotAsked) {
  DecoderConfig model;
  model.vocab = 257;
  model.moe.assign(4, std::nullopt);
  EXPECT_TRUE(layout_problems(layout(1, 1, 1, 2), layout_subject(model), 2).empty());
}

}  // namespace
}  // namespace troupe
