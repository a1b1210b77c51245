#include "models/layouts/layout_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <set>

#include "models/layouts/nearest_shapes.h"
#include "models/model/legal.h"
#include "moe/balance/balance.h"

namespace troupe {
namespace {

std::string quotient(int64_t number, int64_t by) {
  return fmt::format("{} = {} x {} + {}", number, number / by, by, number % by);
}

// a x b, at most the largest number.
int64_t bounded_product(int64_t a, int64_t b) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return b > kMost / a ? kMost : a * b;
}

bool one_divides(int64_t a, int64_t b) { return a % b == 0 || b % a == 0; }

// Legal values that a fix names at most.
constexpr size_t kShown = 3;

class Rules {
 public:
  // Without advice only keys and rules are said.
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
  void add(std::string key, std::vector<std::string> reads, std::string rule, std::string fix) {
    problems_.push_back({std::move(key), std::move(reads), std::move(rule), std::move(fix)});
  }

  static std::set<std::string> broken(const Parallelism& p, const LayoutInputs& s, int world) {
    std::set<std::string> keys;
    for (const LayoutProblem& problem : Rules(p, s, world, false).all()) keys.insert(problem.key);
    return keys;
  }
  // Does this change mend `key` and break nothing that is not broken now?
  bool mends(const std::string& key, const Parallelism& p, const LayoutInputs& s) const {
    const std::set<std::string> now = broken(p_, s_, world_);
    const std::set<std::string> then = broken(p, s, world_);
    return !then.contains(key) && std::includes(now.begin(), now.end(), then.begin(), then.end());
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
  // The degrees of `axis` nearest to its own that mend `key` in this job; "" = there are none.
  std::string degrees(const std::string& key, Axis axis) const {
    if (!advice_) return {};
    std::vector<int64_t> found;
    for (const int64_t degree : divisors(world_)) {
      if (mends(key, with(axis, degree), s_)) found.push_back(degree);
    }
    return nearest_of(std::move(found), p_.shape[axis], kShown);
  }
  // "nearest legal values: 1, 2", then `more`; where no degree helps the nearest layouts instead.
  std::string advice(const std::string& degrees, const std::string& more = {}) const {
    const std::string layouts = degrees.empty() ? legal_layouts() : std::string();
    if (degrees.empty() && layouts.empty()) return more.empty() ? more : "write " + more;
    return (degrees.empty() ? layouts : "nearest legal values: " + degrees) +
           (more.empty() ? "" : "; or " + more);
  }

  // "nearest legal layouts of 3 ranks: {pp: 3, ep: 1}, ..."; "" = there are none, or without
  // advice.
  std::string legal_layouts() const {
    if (!advice_) return {};
    const std::vector<MeshShape> near = nearest_shapes(p_, s_, world_);
    std::string text;
    for (const MeshShape& shape : near) {
      text += (text.empty() ? "" : ", ") + text_of_change(p_.shape, shape);
    }
    if (near.empty()) return {};
    return fmt::format("nearest legal layout{} of {} rank{}: {}", near.size() == 1 ? "" : "s",
                       world_, world_ == 1 ? "" : "s", text);
  }

  void world() {
    const int64_t others = pp_ * cp_ * tp_;
    const int64_t product = bounded_product(others, dp_);
    if (product != world_) {
      const std::string folded = others == 1
                                     ? fmt::format("dp = {} needs {}", dp_, product)
                                     : fmt::format("pp x dp x cp x tp = {} x {} x {} x {} needs {}",
                                                   pp_, dp_, cp_, tp_, product);
      add("parallel.dp", {"parallel.pp", "parallel.cp", "parallel.tp"},
          fmt::format("the job has {} rank{}, and {}", world_, world_ == 1 ? "" : "s", folded),
          fmt::format("start {} rank{} (`troupe launch -n {} ...`)", product,
                      product == 1 ? "" : "s", product) +
              other_shapes(others));
    }
    const int64_t stage = dp_ * cp_ * tp_;
    if (stage % (ep_ * etp_) != 0) {
      const bool blame_etp = stage % ep_ == 0;
      const std::string key = blame_etp ? "parallel.etp" : "parallel.ep";
      add(key,
          {"parallel.dp", "parallel.cp", "parallel.tp", blame_etp ? "parallel.ep" : "parallel.etp"},
          fmt::format("the experts are shared out over the dp x cp x tp = {} x {} x {} = {} ranks "
                      "of a stage, which must be a multiple of ep x etp = {} x {}: {}",
                      dp_, cp_, tp_, stage, ep_, etp_, quotient(stage, ep_ * etp_)),
          advice(degrees(key, blame_etp ? Axis::etp : Axis::ep),
                 fmt::format("{} ranks a stage", (stage / (ep_ * etp_) + 1) * ep_ * etp_)));
    }
  }

  // How this job's ranks can be used instead.
  std::string other_shapes(int64_t others) const {
    if (!advice_) return {};
    if (world_ % others == 0) {
      Parallelism p = p_;
      p.shape[Axis::dp] = static_cast<int>(world_ / others);
      p.shape.derive_edp();
      if (mends("parallel.dp", p, s_)) {
        return fmt::format(", or write dp: auto or dp: {}", world_ / others);
      }
    }
    const std::string layouts = legal_layouts();
    return layouts.empty() ? layouts : "; " + layouts;
  }

  // Query heads whose number key heads divide, if those do not follow them.
  std::string near_heads(int64_t unit) const {
    if (s_.kv_heads != s_.heads) unit = std::lcm(unit, s_.kv_heads);
    return "model.heads: " + near_multiples(unit, s_.heads);
  }

  void tensor() {
    const auto near = [&] { return degrees("parallel.tp", Axis::tp); };
    if (s_.heads % tp_ != 0) {
      add("parallel.tp", {"model.heads"}, "must divide model.heads: " + quotient(s_.heads, tp_),
          advice(near(), one_divides(s_.kv_heads, tp_) || s_.kv_heads == s_.heads
                             ? near_heads(tp_)
                             : "other model.heads and model.kv_heads"));
    } else if (!one_divides(s_.kv_heads, tp_)) {
      add("parallel.tp", {"model.heads", "model.kv_heads"},
          fmt::format("one of tp = {} and model.kv_heads = {} must divide the other", tp_,
                      s_.kv_heads),
          advice(near(), "another model.kv_heads"));
    }
    if (s_.ffn_dim % tp_ != 0) {
      add("parallel.tp", {"model.ffn_dim"},
          "must divide model.ffn_dim: " + quotient(s_.ffn_dim, tp_),
          advice(near(), "model.ffn_dim: " + near_multiples(tp_, s_.ffn_dim)));
    }
    if (s_.shared_ffn % tp_ != 0) {
      add("parallel.tp", {"moe.shared_experts", "moe.shared_ffn_dim"},
          "must divide shared_experts x shared_ffn_dim: " + quotient(s_.shared_ffn, tp_),
          advice(near(), "shared_experts x shared_ffn_dim: " + near_multiples(tp_, s_.shared_ffn)));
    }
  }

  void experts() {
    if (s_.experts == 0) {
      for (const auto& [key, degree] :
           {std::pair{"parallel.ep", ep_}, std::pair{"parallel.etp", etp_}}) {
        if (degree == 1) continue;
        add(key, {"moe"}, "has no effect: the model has no experts (no moe section)",
            "remove it, or add a moe section");
      }
      return;
    }
    if (s_.experts % ep_ != 0) {
      add("parallel.ep", {"moe.experts"}, "must divide the experts: " + quotient(s_.experts, ep_),
          advice(degrees("parallel.ep", Axis::ep),
                 "moe.experts: " + near_multiples(ep_, s_.experts)));
    }
    if (s_.expert_ffn % etp_ != 0) {
      add("parallel.etp", {"moe.ffn_dim"},
          "must divide moe.ffn_dim: " + quotient(s_.expert_ffn, etp_),
          advice(degrees("parallel.etp", Axis::etp),
                 "moe.ffn_dim: " + near_multiples(etp_, s_.expert_ffn)));
    }
  }

  // Ring attention gives every rank an early and a late chunk of each sequence.
  void sequence() {
    const bool ring = p_.cp_kind == CpKind::ring && cp_ > 1;
    const int64_t unit = (ring ? 2 : 1) * cp_ * tp_;
    if (s_.seq_len % unit != 0) {
      const std::string what =
          ring ? fmt::format("2 x cp x tp = 2 x {} x {} = {} (ring attention)", cp_, tp_, unit)
               : fmt::format("cp x tp = {} x {} = {}", cp_, tp_, unit);
      const std::string key = cp_ > 1 ? "parallel.cp" : "parallel.tp";
      std::string more = "model.seq_len: " + near_multiples(unit, s_.seq_len);
      if (ring && other_kind_helps(CpKind::all_to_all)) more += "; or cp_kind: all_to_all";
      add(key, {"model.seq_len", "parallel.tp", "parallel.cp_kind"},
          fmt::format("model.seq_len must be a multiple of {}: {}", what,
                      quotient(s_.seq_len, unit)),
          advice(degrees(key, cp_ > 1 ? Axis::cp : Axis::tp), more));
    }
    if (p_.cp_kind != CpKind::all_to_all || s_.heads % tp_ != 0) return;
    const int64_t heads = s_.heads / tp_;
    if (heads % cp_ != 0) {
      add("parallel.cp", {"model.heads", "parallel.tp", "parallel.cp_kind"},
          fmt::format("with cp_kind all_to_all cp must divide the heads of a tp rank, {} / {}: {}",
                      s_.heads, tp_, quotient(heads, cp_)),
          advice(degrees("parallel.cp", Axis::cp), other_kind_helps(CpKind::ring)
                                                       ? std::string("cp_kind: ring")
                                                       : near_heads(cp_ * tp_)));
    }
  }
  bool other_kind_helps(CpKind kind) const {
    if (!advice_) return false;
    Parallelism p = p_;
    p.cp_kind = kind;
    return mends("parallel.cp", p, s_);
  }

  void stages() {
    const int64_t chunks = pp_ * p_.virtual_stages;
    if (p_.virtual_stages > 1 && p_.schedule != PipelineSchedule::interleaved) {
      add("parallel.virtual_stages", {"parallel.schedule"},
          "several chunks per pipeline rank need schedule: interleaved",
          "write schedule: interleaved, or virtual_stages: 1");
    }
    if (s_.layers < chunks) {
      const bool one = p_.virtual_stages == 1;
      add(pp_ > 1 ? "parallel.pp" : "parallel.virtual_stages",
          {"model.layers", "parallel.virtual_stages"},
          one ? fmt::format("each of the {} stages needs a layer, and model.layers = {}", pp_,
                            s_.layers)
              : fmt::format("each of the pp x virtual_stages = {} x {} = {} chunks needs a layer, "
                            "and model.layers = {}",
                            pp_, p_.virtual_stages, chunks, s_.layers),
          pp_ > 1
              ? advice(degrees("parallel.pp", Axis::pp), fmt::format("model.layers: {}", chunks))
              : fmt::format("nearest legal value: {}", s_.layers));
    }
  }

  void batch() {
    const int64_t batch = s_.global_batch;
    if (batch == 0) return;
    const int64_t unit = dp_ * std::max<int64_t>(s_.micro_batch, 1);
    if (batch % unit != 0) {
      if (s_.micro_batch == 0) {
        add("train.global_batch", {"train.micro_batch", "parallel.dp"},
            fmt::format("must be a multiple of dp = {}: {}", dp_, quotient(batch, dp_)),
            "nearest legal values: " + near_multiples(dp_, batch));
        return;
      }
      const std::string micro_batch = micro_batch_sizes();
      add("train.global_batch", {"train.micro_batch", "parallel.dp"},
          fmt::format("must be a multiple of dp x micro_batch = {} x {} = {}: {}", dp_,
                      s_.micro_batch, unit, quotient(batch, unit)),
          "nearest legal values: " + near_batches(unit) +
              (micro_batch.empty() ? "" : "; or train.micro_batch: " + micro_batch));
      if (s_.exact_batch && p_.schedule == PipelineSchedule::interleaved && pp_ > 1) {
        add("parallel.schedule", {"moe.balance", "parallel.pp"},
            "interleaved needs several micro-batches, and scope global_batch_exact of a balance "
            "term every forward before the first backward",
            "write schedule: gpipe");
      }
      return;
    }
    const int64_t micro_batches = s_.micro_batch == 0 ? 1 : batch / unit;
    if (p_.schedule == PipelineSchedule::interleaved && micro_batches % pp_ != 0) {
      add("parallel.schedule", {"train", "parallel.dp", "parallel.pp"},
          fmt::format("interleaved needs a multiple of pp = {} micro-batches, and there are "
                      "global_batch / (dp x micro_batch) = {}: {}",
                      pp_, micro_batches, quotient(micro_batches, pp_)),
          "nearest legal numbers of micro-batches: " + near_multiples(pp_, micro_batches) +
              (s_.exact_batch ? "; or schedule: gpipe" : "; or schedule: 1f1b"));
    }
    if (s_.exact_batch && micro_batches > 1 && p_.schedule != PipelineSchedule::gpipe) {
      add("parallel.schedule", {"moe.balance", "train", "parallel.dp"},
          fmt::format("scope global_batch_exact of a balance term needs every forward before the "
                      "first backward, and a step has global_batch / (dp x micro_batch) = {} / ({} "
                      "x {}) = {} micro-batches",
                      batch, dp_, s_.micro_batch, micro_batches),
          fmt::format("write schedule: gpipe, or train.micro_batch: {}, or scope: global_batch",
                      batch / dp_));
    }
  }

  // The sizes nearest to the given one that divide the share of a data rank, as the schedule asks.
  std::string micro_batch_sizes() const {
    if (!advice_ || s_.global_batch % dp_ != 0) return {};
    std::vector<int64_t> found;
    for (const int64_t size : divisors(s_.global_batch / dp_)) {
      LayoutInputs other = s_;
      other.micro_batch = size;
      if (mends("train.global_batch", p_, other)) found.push_back(size);
    }
    return nearest_of(std::move(found), s_.micro_batch, kShown);
  }

  // The global batches nearest to the given one that the schedule allows.
  std::string near_batches(int64_t unit) const {
    if (p_.schedule == PipelineSchedule::interleaved) unit *= pp_;
    const bool whole = s_.exact_batch && p_.schedule != PipelineSchedule::gpipe;
    return whole ? fmt::format("{}", unit) : near_multiples(unit, s_.global_batch);
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
  LayoutInputs subject;
  subject.layers = model.layers;
  subject.heads = model.heads;
  subject.kv_heads = model.kv_heads;
  subject.seq_len = model.seq_len;
  for (const auto& moe : model.moe) {
    if (!moe) {
      subject.ffn_dim = model.ffn_dim;
      continue;
    }
    subject.experts = moe->experts;
    subject.expert_ffn = moe->ffn_dim;
    subject.shared_ffn = moe->shared_experts * moe->shared_ffn_dim;
    for (const BalanceTerm& term : moe->balance) {
      subject.exact_batch = subject.exact_batch || waits_for_batch(term);
    }
  }
  return subject;
}

std::vector<LayoutProblem> layout_problems(const Parallelism& parallelism,
                                           const LayoutInputs& subject, int world) {
  return Rules(parallelism, subject, world, true).all();
}

std::string layout_refusal(const Parallelism& parallelism, const LayoutInputs& subject, int world) {
  std::string text;
  for (const LayoutProblem& problem : Rules(parallelism, subject, world, false).all()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", problem.key, problem.rule);
  }
  return text;
}

}  // namespace troupe
