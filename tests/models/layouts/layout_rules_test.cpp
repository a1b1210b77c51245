// What a layout may not be, and that what is advised instead may be.
#include "models/layouts/layout_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/base/random.h"
#include "models/model/legal.h"
#include "tests/support/layout_subject.h"

namespace troupe {
namespace {

TEST(LayoutRules, AProblemIsData) {
  LayoutInputs s = subject();
  s.heads = s.kv_heads = 18;
  const Parallelism p = layout(1, 1, 1, 4);
  const std::vector<LayoutProblem> problems = layout_problems(p, s, 4);
  ASSERT_EQ(problems.size(), 1U);
  const LayoutProblem& problem = problems[0];
  EXPECT_EQ(problem.rule, LayoutRule::heads);
  EXPECT_EQ(problem.field, LayoutField::tp);
  EXPECT_EQ(problem.value, 4);
  EXPECT_EQ(problem.reads, std::vector<LayoutField>{LayoutField::heads});
  EXPECT_EQ(problem.number, 18);
  EXPECT_EQ(problem.unit, 4);
  EXPECT_EQ(problem.legal, (std::vector<int64_t>{1, 2}));
  EXPECT_TRUE(problem.shapes.empty());
  ASSERT_EQ(problem.changes.size(), 1U);
  EXPECT_EQ(problem.changes[0].field, LayoutField::heads);
  EXPECT_EQ(problem.changes[0].values, (std::vector<int64_t>{16, 20}));
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

std::set<LayoutField> broken(const Parallelism& p, const LayoutInputs& s, int world) {
  std::set<LayoutField> fields;
  for (const LayoutProblem& problem : layout_problems(p, s, world)) fields.insert(problem.field);
  return fields;
}

std::optional<Axis> axis_of(LayoutField field) {
  switch (field) {
    case LayoutField::pp:
      return Axis::pp;
    case LayoutField::cp:
      return Axis::cp;
    case LayoutField::tp:
      return Axis::tp;
    case LayoutField::ep:
      return Axis::ep;
    case LayoutField::etp:
      return Axis::etp;
    default:
      return std::nullopt;
  }
}

// Each advised value mends its field and breaks no other.
int check_advice(const LayoutProblem& problem, const Parallelism& p, const LayoutInputs& s,
                 int world) {
  int checked = 0;
  std::set<LayoutField> others = broken(p, s, world);
  others.erase(problem.field);
  for (const int64_t value : problem.legal) {
    Parallelism layout = p;
    LayoutInputs inputs = s;
    if (problem.field == LayoutField::global_batch) {
      inputs.global_batch = value;
    } else if (problem.field == LayoutField::virtual_stages) {
      layout.virtual_stages = static_cast<int>(value);
    } else if (problem.field == LayoutField::dp) {
      layout.shape[Axis::dp] = static_cast<int>(value);
    } else {
      layout.shape[axis_of(problem.field).value()] = static_cast<int>(value);
      const MeshShape& shape = layout.shape;
      const int rest = shape[Axis::pp] * shape[Axis::cp] * shape[Axis::tp];
      if (world % rest == 0) layout.shape[Axis::dp] = world / rest;  // dp: auto
    }
    layout.shape.derive_edp();
    // Of two rules that one number of chunks breaks each names the value for itself.
    if (problem.field == LayoutField::virtual_stages) others.insert(problem.field);
    const std::set<LayoutField> left = broken(layout, inputs, world);
    EXPECT_TRUE(std::includes(others.begin(), others.end(), left.begin(), left.end()))
        << static_cast<int>(problem.rule) << ": " << value;
    ++checked;
  }
  return checked;
}

TEST(LayoutRules, RefuseWhatIsPromisedAndSuggestWhatIsLegal) {
  Rng random;
  int legal = 0;
  int values = 0;
  int layouts = 0;
  for (int i = 0; i < 2000; ++i) {
    const int world = one_of(random, {1, 2, 3, 4, 6, 8, 12, 16});
    const LayoutInputs s = drawn_inputs(random);
    const Parallelism p = drawn_layout(random, world);
    const std::vector<LayoutProblem> problems = layout_problems(p, s, world);
    ASSERT_EQ(problems.empty(), promised(p, s, world))
        << (problems.empty() ? "" : std::to_string(static_cast<int>(problems[0].rule)));
    EXPECT_EQ(broken_layout_rules(p, s, world).size(), problems.size());
    legal += problems.empty() ? 1 : 0;
    for (const LayoutProblem& problem : problems) {
      values += check_advice(problem, p, s, world);
      for (const MeshShape& shape : problem.shapes) {
        Parallelism layout = p;
        layout.shape = shape;
        EXPECT_TRUE(layout_problems(layout, s, world).empty());
        ++layouts;
      }
    }
  }
  EXPECT_GT(legal, 100);
  EXPECT_GT(values, 1000);
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
