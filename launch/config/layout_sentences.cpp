#include "launch/config/layout_sentences.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include "models/layouts/layout_text.h"

namespace troupe {
namespace {

using Rule = LayoutRule;

std::vector<std::string> keys(LayoutField field) {
  switch (field) {
    case LayoutField::pp:
      return {"parallel.pp"};
    case LayoutField::dp:
      return {"parallel.dp"};
    case LayoutField::cp:
      return {"parallel.cp"};
    case LayoutField::tp:
      return {"parallel.tp"};
    case LayoutField::ep:
      return {"parallel.ep"};
    case LayoutField::etp:
      return {"parallel.etp"};
    case LayoutField::virtual_stages:
      return {"parallel.virtual_stages"};
    case LayoutField::schedule:
      return {"parallel.schedule"};
    case LayoutField::cp_kind:
      return {"parallel.cp_kind"};
    case LayoutField::layers:
      return {"model.layers"};
    case LayoutField::heads:
      return {"model.heads"};
    case LayoutField::kv_heads:
      return {"model.kv_heads"};
    case LayoutField::seq_len:
      return {"model.seq_len"};
    case LayoutField::ffn_dim:
      return {"model.ffn_dim"};
    case LayoutField::any_experts:
      return {"moe"};
    case LayoutField::experts:
      return {"moe.experts"};
    case LayoutField::expert_ffn:
      return {"moe.ffn_dim"};
    case LayoutField::shared_ffn:
      return {"moe.shared_experts", "moe.shared_ffn_dim"};
    case LayoutField::balance:
      return {"moe.balance"};
    case LayoutField::step:
      return {"train"};
    case LayoutField::global_batch:
      return {"train.global_batch"};
    case LayoutField::micro_batch:
      return {"train.micro_batch"};
  }
  return {};
}

// The degrees that are more than 1 or change: "{pp: 3, dp: 1}".
std::string text_of_change(const MeshShape& from, const MeshShape& to) {
  std::string text;
  for (Axis axis : {Axis::pp, Axis::dp, Axis::cp, Axis::tp, Axis::ep, Axis::etp}) {
    if (to[axis] == 1 && from[axis] == 1) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name(axis), to[axis]);
  }
  return "{" + text + "}";
}

std::string listed(const std::vector<int64_t>& numbers) {
  return fmt::format("{}", fmt::join(numbers, ", "));
}

class Writer {
 public:
  Writer(const LayoutProblem& problem, const Parallelism& p, const LayoutInputs& s, int world)
      : problem_(problem),
        p_(p),
        s_(s),
        world_(world),
        pp_(p.shape[Axis::pp]),
        dp_(p.shape[Axis::dp]),
        cp_(p.shape[Axis::cp]),
        tp_(p.shape[Axis::tp]) {}

  std::string rule() const;
  std::string fix() const;

 private:
  // "number = q x unit + r".
  std::string quotient() const {
    return fmt::format("{} = {} x {} + {}", problem_.number, problem_.number / problem_.unit,
                       problem_.unit, problem_.number % problem_.unit);
  }
  std::string ranks_rule() const {
    const int64_t product = problem_.unit;
    const std::string folded = pp_ * cp_ * tp_ == 1
                                   ? fmt::format("dp = {} needs {}", dp_, product)
                                   : fmt::format("pp x dp x cp x tp = {} x {} x {} x {} needs {}",
                                                 pp_, dp_, cp_, tp_, product);
    return fmt::format("the job has {} rank{}, and {}", world_, world_ == 1 ? "" : "s", folded);
  }
  bool ring() const { return p_.cp_kind == CpKind::ring && cp_ > 1; }
  std::string seq_len_rule() const {
    const std::string what = ring()
                                 ? fmt::format("2 x cp x tp = 2 x {} x {} = {} (ring attention)",
                                               cp_, tp_, problem_.unit)
                                 : fmt::format("cp x tp = {} x {} = {}", cp_, tp_, problem_.unit);
    return fmt::format("model.seq_len must be a multiple of {}: {}", what, quotient());
  }
  std::string layers_rule() const {
    if (p_.virtual_stages == 1) {
      return fmt::format("each of the {} stages needs a layer, and model.layers = {}", pp_,
                         s_.layers);
    }
    return fmt::format(
        "each of the pp x virtual_stages = {} x {} = {} chunks needs a layer, and model.layers = "
        "{}",
        pp_, p_.virtual_stages, problem_.unit, s_.layers);
  }
  std::string batch_rule() const {
    if (s_.micro_batch == 0) {
      return fmt::format("must be a multiple of dp = {}: {}", dp_, quotient());
    }
    return fmt::format("must be a multiple of dp x micro_batch = {} x {} = {}: {}", dp_,
                       s_.micro_batch, problem_.unit, quotient());
  }

  // "nearest legal layouts of 3 ranks: {pp: 3, ep: 1}, ..."; "" = there are none.
  std::string shapes() const {
    std::string text;
    for (const MeshShape& shape : problem_.shapes) {
      text += (text.empty() ? "" : ", ") + text_of_change(p_.shape, shape);
    }
    if (text.empty()) return {};
    return fmt::format("nearest legal layout{} of {} rank{}: {}",
                       problem_.shapes.size() == 1 ? "" : "s", world_, world_ == 1 ? "" : "s",
                       text);
  }
  // "nearest legal values: 1, 2" or the nearest layouts, then what else could be changed.
  std::string advice(const std::string& more) const {
    const std::string near =
        problem_.legal.empty() ? shapes() : "nearest legal values: " + listed(problem_.legal);
    return near.empty() ? "write " + more : near + "; or " + more;
  }
  static std::string text(const LayoutChange& change) {
    if (change.field == LayoutField::cp_kind) {
      return fmt::format("cp_kind: {}", name(static_cast<CpKind>(change.values.at(0))));
    }
    if (change.field == LayoutField::schedule) {
      return fmt::format("schedule: {}", name(static_cast<PipelineSchedule>(change.values.at(0))));
    }
    if (change.field == LayoutField::shared_ffn) {
      return "shared_experts x shared_ffn_dim: " + listed(change.values);
    }
    return fmt::format("{}: {}", keys(change.field).at(0), listed(change.values));
  }
  std::string changes() const {
    const std::vector<LayoutChange>& changes = problem_.changes;
    if (changes.size() == 2 && changes[0].values.empty()) {
      return "other model.heads and model.kv_heads";
    }
    std::string all;
    for (const LayoutChange& change : changes) {
      all += (all.empty() ? "" : "; or ") + text(change);
    }
    return all;
  }
  std::string ranks_fix() const {
    const int64_t product = problem_.unit;
    std::string fix = fmt::format("start {} rank{} (`troupe launch -n {} ...`)", product,
                                  product == 1 ? "" : "s", product);
    if (!problem_.legal.empty()) {
      return fix + fmt::format(", or write dp: auto or dp: {}", problem_.legal[0]);
    }
    const std::string layouts = shapes();
    return layouts.empty() ? fix : fix + "; " + layouts;
  }
  std::string batch_fix() const {
    const std::string fix = "nearest legal values: " + listed(problem_.legal);
    const bool others = !problem_.changes.empty() && !problem_.changes[0].values.empty();
    return others ? fix + "; or " + text(problem_.changes[0]) : fix;
  }
  // The multiples of pp around the number of micro-batches.
  std::string micro_batches() const {
    const int64_t below = problem_.number / problem_.unit * problem_.unit;
    return below == 0 ? fmt::format("{}", problem_.unit)
                      : fmt::format("{}, {}", below, below + problem_.unit);
  }

  const LayoutProblem& problem_;
  const Parallelism& p_;
  const LayoutInputs& s_;
  int world_;
  int64_t pp_, dp_, cp_, tp_;
};

std::string Writer::rule() const {
  switch (problem_.rule) {
    case Rule::ranks:
      return ranks_rule();
    case Rule::expert_ranks:
      return fmt::format(
          "the experts are shared out over the dp x cp x tp = {} x {} x {} = {} ranks of a stage, "
          "which must be a multiple of ep x etp = {} x {}: {}",
          dp_, cp_, tp_, problem_.number, p_.shape[Axis::ep], p_.shape[Axis::etp], quotient());
    case Rule::heads:
      return "must divide model.heads: " + quotient();
    case Rule::kv_heads:
      return fmt::format("one of tp = {} and model.kv_heads = {} must divide the other", tp_,
                         s_.kv_heads);
    case Rule::ffn_dim:
      return "must divide model.ffn_dim: " + quotient();
    case Rule::shared_ffn:
      return "must divide shared_experts x shared_ffn_dim: " + quotient();
    case Rule::no_experts:
      return "has no effect: the model has no experts (no moe section)";
    case Rule::experts:
      return "must divide the experts: " + quotient();
    case Rule::expert_ffn:
      return "must divide moe.ffn_dim: " + quotient();
    case Rule::seq_len:
      return seq_len_rule();
    case Rule::exchanged_heads:
      return fmt::format(
          "with cp_kind all_to_all cp must divide the heads of a tp rank, {} / {}: "
          "{}",
          s_.heads, tp_, quotient());
    case Rule::only_interleaved:
      return "several chunks per pipeline rank need schedule: interleaved";
    case Rule::layers:
      return layers_rule();
    case Rule::batch:
      return batch_rule();
    case Rule::interleaved:
      return fmt::format(
          "interleaved needs a multiple of pp = {} micro-batches, and there are global_batch / (dp "
          "x micro_batch) = {}: {}",
          pp_, problem_.number, quotient());
    case Rule::whole_batch:
      return fmt::format(
          "scope global_batch_exact of a balance term needs every forward before the first "
          "backward, and a step has global_batch / (dp x micro_batch) = {} / ({} x {}) = {} "
          "micro-batches",
          s_.global_batch, dp_, s_.micro_batch, problem_.number);
    case Rule::interleaved_whole_batch:
      return "interleaved needs several micro-batches, and scope global_batch_exact of a balance "
             "term every forward before the first backward";
  }
  return {};
}

std::string Writer::fix() const {
  switch (problem_.rule) {
    case Rule::ranks:
      return ranks_fix();
    case Rule::expert_ranks:
      return advice(
          fmt::format("{} ranks a stage", (problem_.number / problem_.unit + 1) * problem_.unit));
    case Rule::kv_heads:
      return advice("another model.kv_heads");
    case Rule::no_experts:
      return "remove it, or add a moe section";
    case Rule::only_interleaved:
      return fmt::format("write {}, or virtual_stages: {}", changes(), problem_.legal[0]);
    case Rule::layers:
      return problem_.changes.empty()
                 ? fmt::format("nearest legal value: {}", listed(problem_.legal))
                 : advice(changes());
    case Rule::batch:
      return batch_fix();
    case Rule::interleaved:
      return fmt::format("nearest legal numbers of micro-batches: {}; or {}", micro_batches(),
                         changes());
    case Rule::whole_batch:
      return fmt::format("write {}, or {}, or scope: global_batch", text(problem_.changes[0]),
                         text(problem_.changes[1]));
    case Rule::interleaved_whole_batch:
      return "write " + changes();
    default:
      return advice(changes());
  }
}

}  // namespace

LayoutSentence sentence(const LayoutProblem& problem, const Parallelism& parallelism,
                        const LayoutInputs& inputs, int world) {
  const Writer writer(problem, parallelism, inputs, world);
  LayoutSentence out{keys(problem.field).at(0), {}, writer.rule(), writer.fix()};
  for (const LayoutField field : problem.reads) {
    for (std::string& key : keys(field)) out.reads.push_back(std::move(key));
  }
  return out;
}

std::string layout_refusal(const std::vector<LayoutProblem>& problems,
                           const Parallelism& parallelism, const LayoutInputs& inputs, int world) {
  std::string text;
  for (const LayoutProblem& problem : problems) {
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", keys(problem.field).at(0),
                        Writer(problem, parallelism, inputs, world).rule());
  }
  return text;
}

}  // namespace troupe
