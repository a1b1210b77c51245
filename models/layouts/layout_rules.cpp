#include "models/layouts/layout_rules.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "models/layouts/nearest_shapes.h"
#include "models/model/legal.h"
#include "moe/balance/balance.h"

namespace troupe {
namespace {

using Field = LayoutField;
using Rule = LayoutRule;

// a x b, at most the largest number.
int64_t bounded_product(int64_t a, int64_t b) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return b > kMost / a ? kMost : a * b;
}

bool one_divides(int64_t a, int64_t b) { return a % b == 0 || b % a == 0; }

// Legal values that are advised at most.
constexpr size_t kShown = 3;

class Rules {
 public:
  Rules(const Parallelism& p, const LayoutInputs& s, int world, bool advice)
      : advice_(advice),
        p_(p),
        s_(s),
        world_(world),
        pp_(p.shape[Axis::pp]),
        dp_(p.shape[Axis::dp]),
        cp_(p.shape[Axis::cp]),
        tp_(p.shape[Axis::tp]),
        ep_(p.shape[Axis::ep]),
        etp_(p.shape[Axis::etp]) {}

  std::vector<LayoutProblem> all() {
    world();
    tensor();
    experts();
    sequence();
    stages();
    batch();
    return std::move(problems_);
  }

 private:
  LayoutProblem& add(Rule rule, Field field, int64_t value, std::vector<Field> reads,
                     int64_t number = 0, int64_t unit = 0) {
    LayoutProblem problem{rule, field, value, std::move(reads), number, unit, {}, {}, {}};
    problems_.push_back(std::move(problem));
    return problems_.back();
  }

  static std::set<Field> broken(const Parallelism& p, const LayoutInputs& s, int world) {
    std::set<Field> fields;
    for (const LayoutProblem& problem : broken_layout_rules(p, s, world)) {
      fields.insert(problem.field);
    }
    return fields;
  }
  // Does this change mend `field` and break nothing that is not broken now?
  bool mends(Field field, const Parallelism& p, const LayoutInputs& s) const {
    const std::set<Field> now = broken(p_, s_, world_);
    const std::set<Field> then = broken(p, s, world_);
    return !then.contains(field) && std::includes(now.begin(), now.end(), then.begin(), then.end());
  }
  // This layout with another degree; dp fills the ranks.
  Parallelism with(Axis axis, int64_t degree) const {
    Parallelism p = p_;
    p.shape[axis] = static_cast<int>(degree);
    const int64_t others = int64_t{p.shape[Axis::pp]} * p.shape[Axis::cp] * p.shape[Axis::tp];
    if (world_ % others == 0) p.shape[Axis::dp] = static_cast<int>(world_ / others);
    p.shape.derive_edp();
    return p;
  }
  // The degrees of `axis` nearest to its own that mend the problem in this job; where there are
  // none, the nearest shapes; and what else could be changed.
  void advise(LayoutProblem& problem, Axis axis, std::vector<LayoutChange> changes = {}) const {
    problem.changes = std::move(changes);
    if (!advice_) return;
    std::vector<int64_t> found;
    for (const int64_t degree : divisors(world_)) {
      if (mends(problem.field, with(axis, degree), s_)) found.push_back(degree);
    }
    problem.legal = nearest_of(std::move(found), p_.shape[axis], kShown);
    if (problem.legal.empty()) problem.shapes = nearest_shapes(p_, s_, world_);
  }

  void world() {
    const int64_t others = pp_ * cp_ * tp_;
    const int64_t product = bounded_product(others, dp_);
    if (product != world_) {
      other_shapes(
          add(Rule::ranks, Field::dp, dp_, {Field::pp, Field::cp, Field::tp}, world_, product),
          others);
    }
    const int64_t stage = dp_ * cp_ * tp_;
    if (stage % (ep_ * etp_) == 0) return;
    const bool blame_etp = stage % ep_ == 0;
    advise(add(Rule::expert_ranks, blame_etp ? Field::etp : Field::ep, blame_etp ? etp_ : ep_,
               {Field::dp, Field::cp, Field::tp, blame_etp ? Field::ep : Field::etp}, stage,
               ep_ * etp_),
           blame_etp ? Axis::etp : Axis::ep);
  }

  // How this job's ranks can be used instead.
  void other_shapes(LayoutProblem& problem, int64_t others) const {
    if (!advice_) return;
    if (world_ % others == 0) {
      Parallelism p = p_;
      p.shape[Axis::dp] = static_cast<int>(world_ / others);
      p.shape.derive_edp();
      if (mends(Field::dp, p, s_)) problem.legal = {world_ / others};
    }
    if (problem.legal.empty()) problem.shapes = nearest_shapes(p_, s_, world_);
  }

  // Query heads whose number key heads divide, if those do not follow them.
  LayoutChange near_heads(int64_t unit) const {
    if (s_.kv_heads != s_.heads) unit = std::lcm(unit, s_.kv_heads);
    return {Field::heads, near_multiples(unit, s_.heads)};
  }

  void tensor() {
    const auto multiple = [&](Rule rule, Field field, int64_t number) {
      if (number % tp_ == 0) return;
      advise(add(rule, Field::tp, tp_, {field}, number, tp_), Axis::tp,
             {{field, near_multiples(tp_, number)}});
    };
    if (s_.heads % tp_ != 0) {
      const bool heads_alone = one_divides(s_.kv_heads, tp_) || s_.kv_heads == s_.heads;
      advise(add(Rule::heads, Field::tp, tp_, {Field::heads}, s_.heads, tp_), Axis::tp,
             heads_alone ? std::vector<LayoutChange>{near_heads(tp_)}
                         : std::vector<LayoutChange>{{Field::heads, {}}, {Field::kv_heads, {}}});
    } else if (!one_divides(s_.kv_heads, tp_)) {
      advise(add(Rule::kv_heads, Field::tp, tp_, {Field::heads, Field::kv_heads}, s_.kv_heads, tp_),
             Axis::tp, {{Field::kv_heads, {}}});
    }
    multiple(Rule::ffn_dim, Field::ffn_dim, s_.ffn_dim);
    multiple(Rule::shared_ffn, Field::shared_ffn, s_.shared_ffn);
  }

  void experts() {
    if (s_.experts == 0) {
      if (ep_ != 1) add(Rule::no_experts, Field::ep, ep_, {Field::any_experts}).legal = {1};
      if (etp_ != 1) add(Rule::no_experts, Field::etp, etp_, {Field::any_experts}).legal = {1};
      return;
    }
    const auto multiple = [&](Rule rule, Field field, int64_t number, Field by, int64_t degree,
                              Axis axis) {
      if (number % degree == 0) return;
      advise(add(rule, by, degree, {field}, number, degree), axis,
             {{field, near_multiples(degree, number)}});
    };
    multiple(Rule::experts, Field::experts, s_.experts, Field::ep, ep_, Axis::ep);
    multiple(Rule::expert_ffn, Field::expert_ffn, s_.expert_ffn, Field::etp, etp_, Axis::etp);
  }

  // Ring attention gives every rank an early and a late chunk of each sequence.
  void sequence() {
    const bool ring = p_.cp_kind == CpKind::ring && cp_ > 1;
    const int64_t unit = (ring ? 2 : 1) * cp_ * tp_;
    if (s_.seq_len % unit != 0) {
      std::vector<LayoutChange> changes{{Field::seq_len, near_multiples(unit, s_.seq_len)}};
      if (ring && other_kind_helps(CpKind::all_to_all)) {
        changes.push_back({Field::cp_kind, {static_cast<int64_t>(CpKind::all_to_all)}});
      }
      advise(add(Rule::seq_len, cp_ > 1 ? Field::cp : Field::tp, cp_ > 1 ? cp_ : tp_,
                 {Field::seq_len, Field::tp, Field::cp_kind}, s_.seq_len, unit),
             cp_ > 1 ? Axis::cp : Axis::tp, std::move(changes));
    }
    if (p_.cp_kind != CpKind::all_to_all || s_.heads % tp_ != 0) return;
    const int64_t heads = s_.heads / tp_;
    if (heads % cp_ == 0) return;
    advise(add(Rule::exchanged_heads, Field::cp, cp_, {Field::heads, Field::tp, Field::cp_kind},
               heads, cp_),
           Axis::cp,
           {other_kind_helps(CpKind::ring)
                ? LayoutChange{Field::cp_kind, {static_cast<int64_t>(CpKind::ring)}}
                : near_heads(cp_ * tp_)});
  }
  bool other_kind_helps(CpKind kind) const {
    if (!advice_) return false;
    Parallelism p = p_;
    p.cp_kind = kind;
    return mends(Field::cp, p, s_);
  }

  void stages() {
    const int64_t chunks = pp_ * p_.virtual_stages;
    if (p_.virtual_stages > 1 && p_.schedule != PipelineSchedule::interleaved) {
      LayoutProblem& problem =
          add(Rule::only_interleaved, Field::virtual_stages, p_.virtual_stages, {Field::schedule});
      problem.legal = {1};
      problem.changes = {to(PipelineSchedule::interleaved)};
    }
    if (s_.layers >= chunks) return;
    const Field field = pp_ > 1 ? Field::pp : Field::virtual_stages;
    LayoutProblem& problem = add(Rule::layers, field, pp_ > 1 ? pp_ : p_.virtual_stages,
                                 {Field::layers, Field::virtual_stages}, s_.layers, chunks);
    if (pp_ > 1) {
      advise(problem, Axis::pp, {{Field::layers, {chunks}}});
    } else {
      problem.legal = {s_.layers};
    }
  }

  static LayoutChange to(PipelineSchedule schedule) {
    return {Field::schedule, {static_cast<int64_t>(schedule)}};
  }

  void batch() {
    const int64_t batch = s_.global_batch;
    if (batch == 0) return;
    const auto schedule = static_cast<int64_t>(p_.schedule);
    const bool interleaved = p_.schedule == PipelineSchedule::interleaved;
    const int64_t unit = dp_ * std::max<int64_t>(s_.micro_batch, 1);
    if (batch % unit != 0) {
      LayoutProblem& problem = add(Rule::batch, Field::global_batch, batch,
                                   {Field::micro_batch, Field::dp}, batch, unit);
      if (s_.micro_batch == 0) {
        problem.legal = near_multiples(dp_, batch);
        return;
      }
      problem.legal = near_batches(unit);
      problem.changes = {{Field::micro_batch, micro_batch_sizes()}};
      if (s_.exact_batch && interleaved && pp_ > 1) {
        add(Rule::interleaved_whole_batch, Field::schedule, schedule, {Field::balance, Field::pp})
            .changes = {to(PipelineSchedule::gpipe)};
      }
      return;
    }
    const int64_t micro_batches = s_.micro_batch == 0 ? 1 : batch / unit;
    if (interleaved && micro_batches % pp_ != 0) {
      add(Rule::interleaved, Field::schedule, schedule, {Field::step, Field::dp, Field::pp},
          micro_batches, pp_)
          .changes = {to(s_.exact_batch ? PipelineSchedule::gpipe : PipelineSchedule::one_f_one_b)};
    }
    if (s_.exact_batch && micro_batches > 1 && p_.schedule != PipelineSchedule::gpipe) {
      add(Rule::whole_batch, Field::schedule, schedule, {Field::balance, Field::step, Field::dp},
          micro_batches, 1)
          .changes = {to(PipelineSchedule::gpipe), {Field::micro_batch, {batch / dp_}}};
    }
  }

  // The sizes nearest to the given one that divide the share of a data rank, as the schedule asks.
  std::vector<int64_t> micro_batch_sizes() const {
    if (!advice_ || s_.global_batch % dp_ != 0) return {};
    std::vector<int64_t> found;
    for (const int64_t size : divisors(s_.global_batch / dp_)) {
      LayoutInputs other = s_;
      other.micro_batch = size;
      if (mends(Field::global_batch, p_, other)) found.push_back(size);
    }
    return nearest_of(std::move(found), s_.micro_batch, kShown);
  }

  // The global batches nearest to the given one that the schedule allows.
  std::vector<int64_t> near_batches(int64_t unit) const {
    if (p_.schedule == PipelineSchedule::interleaved) unit *= pp_;
    const bool whole = s_.exact_batch && p_.schedule != PipelineSchedule::gpipe;
    return whole ? std::vector<int64_t>{unit} : near_multiples(unit, s_.global_batch);
  }

  bool advice_;
  const Parallelism& p_;
  const LayoutInputs& s_;
  int world_;
  int64_t pp_, dp_, cp_, tp_, ep_, etp_;
  std::vector<LayoutProblem> problems_;
};

}  // namespace

LayoutInputs layout_inputs(const ModelConfig& model) {
  LayoutInputs inputs;
  inputs.layers = model.layers;
  inputs.heads = model.heads;
  inputs.kv_heads = model.kv_heads;
  inputs.seq_len = model.seq_len;
  for (const auto& moe : model.moe) {
    if (!moe) {
      inputs.ffn_dim = model.ffn_dim;
      continue;
    }
    inputs.experts = moe->experts;
    inputs.expert_ffn = moe->ffn_dim;
    inputs.shared_ffn = moe->shared_experts * moe->shared_ffn_dim;
    for (const BalanceTerm& term : moe->balance) {
      inputs.exact_batch = inputs.exact_batch || waits_for_batch(term);
    }
  }
  return inputs;
}

std::vector<LayoutProblem> layout_problems(const Parallelism& parallelism,
                                           const LayoutInputs& inputs, int world) {
  return Rules(parallelism, inputs, world, true).all();
}

std::vector<LayoutProblem> broken_layout_rules(const Parallelism& parallelism,
                                               const LayoutInputs& inputs, int world) {
  return Rules(parallelism, inputs, world, false).all();
}

}  // namespace troupe
