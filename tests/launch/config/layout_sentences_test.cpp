// Each rule of what a layout may not be, one by one, with its key and its nearest legal values.
#include "launch/config/layout_sentences.h"

#include <gtest/gtest.h>

#include "tests/support/layout_subject.h"

namespace troupe {
namespace {

struct Case {
  const char* name;
  Parallelism parallelism;
  int world;
  void (*change)(LayoutInputs&, Parallelism&);
  const char* key;   // of the only problem; empty = legal
  const char* text;  // in its rule or fix
};

TEST(LayoutSentences, OneByOne) {
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
    std::vector<LayoutSentence> problems;
    for (const LayoutProblem& problem : layout_problems(p, s, c.world)) {
      problems.push_back(sentence(problem, p, s, c.world));
    }
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

TEST(LayoutSentences, ARefusalIsOneLineOfKeysAndRules) {
  LayoutInputs s = subject();
  s.experts = 6;
  const Parallelism p = layout(1, 4, 1, 1, 4);
  EXPECT_EQ(layout_refusal(broken_layout_rules(p, s, 8), p, s, 8),
            "parallel.dp the job has 8 ranks, and dp = 4 needs 4; parallel.ep must divide the "
            "experts: 6 = 1 x 4 + 2");
  EXPECT_EQ(layout_refusal({}, p, s, 4), "");
}

}  // namespace
}  // namespace troupe
