#include <algorithm>
#include <map>

#include "models/cost/expert_traffic.h"
#include "models/cost/outgoing.h"
#include "models/families/lookup/configured_model.h"
#include "models/parts/bytes.h"
#include "moe/balance/balance.h"
#include "moe/routers/table.h"
#include "parallel/cp/context_attention.h"
#include "parallel/dp/value_plan.h"
#include "parallel/pp/pipeline_schedule.h"

namespace troupe {
namespace {

// A rank's traffic, formula by formula. Rows that experts get are taken as evenly spread.
class RankTraffic {
 public:
  RankTraffic(const CostInputs& config, int rank)
      : config_(config),
        model_(config.model),
        mesh_(config.parallel.shape),
        rank_(rank),
        at_(coordinates(mesh_, rank)),
        micro_batches_(config.global_batch /
                       std::max<int64_t>(1, mesh_[Axis::dp] * config.micro_batch)),
        attention_rows_(config.micro_batch * model_.seq_len / mesh_[Axis::cp]),
        compute_(bytes_of(model_.compute)),
        forwards_(model_.recompute ? 2 : 1),
        out_(config.parallel, rank) {
    const int stages = mesh_[Axis::pp];
    chunks_ = chunks_per_stage(config.parallel);
    for (int chunk = 0; chunk < chunks_; ++chunk) {
      const LayerRange range =
          layers_of_virtual_stage(model_.layers, stages * chunks_, chunk * stages + at(Axis::pp));
      layers_.insert(layers_.end(), model_.moe.begin() + range.begin,
                     model_.moe.begin() + range.end);
    }
  }

  CommunicationEstimate all() {
    gradients();
    stages();
    tensor_parallel();
    attention();
    routers();
    for (const auto& moe : layers_) {
      if (moe) add_expert_traffic(config_, *moe, rank_, forwards_, micro_batches_, out_);
    }
    statistics();
    return out_.estimate();
  }

 private:
  int at(Axis axis) const { return at_[static_cast<size_t>(axis)]; }
  RankGroup group(const std::vector<Axis>& axes) const { return rank_group(mesh_, rank_, axes); }

  // Buckets hold gradients of one group each, so groups can be counted one by one.
  void gradients() {
    struct Items {
      RankGroup group;
      std::vector<GradientItem> list;
      std::vector<std::string> units;
    };
    std::map<std::string, Items> groups;
    for (const ParameterSpec& parameter :
         model_parameters(model_, config_.parallel, at(Axis::pp))) {
      RankGroup over = gradient_ranks(parameter.layout, mesh_, rank_);
      if (over.size() == 1) continue;
      Items& items = groups[over.name];
      items.group = std::move(over);
      items.list.push_back(
          {parameter.layout, local_elements(parameter, mesh_, rank_), wide(parameter.compute)});
      items.units.push_back(value_unit(parameter.name));
    }
    const int zero = config_.parallel.zero;
    const Pipeline pipeline(config_.parallel, micro_batches_);
    const int64_t rounds = zero >= 2 && is_sequential(pipeline) ? micro_batches_ : 1;
    for (const auto& [name, items] : groups) {
      out_.add(zero == 1 || zero == 2 ? "gradients and updated weights" : "gradients", items.group,
               gradient_sync_bytes_to(items.list, mesh_, rank_, kBucketBytes, zero, rounds));
      if (zero < 3) continue;
      const auto fetches = count_fetches(step_uses(model_units(model_), pipeline, at(Axis::pp)));
      out_.add_each("weights of blocks", items.group,
                    value_bytes_sent(items.list, items.units, mesh_, rank_, fetches) /
                        (items.group.size() - 1));
    }
  }

  bool first() const { return at(Axis::pp) == 0; }
  bool last() const { return at(Axis::pp) + 1 == mesh_[Axis::pp]; }

  // Every chunk but the last of all sends its value on, every one but the first a gradient back.
  void stages() {
    const int stages = mesh_[Axis::pp];
    if (stages == 1) return;
    const int64_t rows = config_.parallel.sp ? attention_rows_ / mesh_[Axis::tp] : attention_rows_;
    const int64_t message = micro_batches_ * rows * model_.dim * compute_;
    std::vector<int64_t> to(static_cast<size_t>(stages), 0);
    to[static_cast<size_t>((at(Axis::pp) + 1) % stages)] += (chunks_ - (last() ? 1 : 0)) * message;
    to[static_cast<size_t>((at(Axis::pp) + stages - 1) % stages)] +=
        (chunks_ - (first() ? 1 : 0)) * message;
    out_.add("values between stages", group({Axis::pp}), to);
  }

  // So many times into or out of a tensor parallel region: rows are gathered or scattered (sp), or
  // summed.
  void regions(int64_t times) {
    const RankGroup tp = group({Axis::tp});
    if (config_.parallel.sp) {
      const int64_t rows = attention_rows_ / tp.size();
      out_.add_each("activations", tp, micro_batches_ * times * rows * model_.dim * compute_);
    } else {
      out_.add_sums("activations", tp, micro_batches_ * times, attention_rows_ * model_.dim,
                    compute_);
    }
  }

  // In forward one end of a region sends without sp, in backward the other; with sp both do.
  void tensor_parallel() {
    if (mesh_[Axis::tp] == 1) return;
    const int64_t ends = config_.parallel.sp ? 2 : 1;
    if (first()) regions(ends);  // out of the embedding
    if (last()) regions(ends);   // into the head
    for (const auto& moe : layers_) {
      regions(ends * (forwards_ + 1));                                       // attention
      if (!moe || moe->shared_experts > 0) regions(ends * (forwards_ + 1));  // dense feed-forward
    }
    if (!last()) return;
    out_.add_each("vocabulary parts", group({Axis::tp}),
                  micro_batches_ * 2 * attention_rows_ * bytes_of(wide(model_.compute)));
  }

  // Keys round the ring, or heads for positions.
  void attention() {
    const RankGroup cp = group({Axis::cp});
    if (cp.size() == 1) return;
    const int tp = mesh_[Axis::tp];
    const CpKind kind = config_.parallel.cp_kind;
    const ContextBytes bytes = context_attention_bytes(
        kind, cp.size(), attention_rows_, model_.heads / tp,
        std::max<int64_t>(1, model_.kv_heads / tp), model_.head_dim, model_.compute);
    const int64_t all = micro_batches_ * static_cast<int64_t>(layers_.size()) *
                        (forwards_ * bytes.forward + bytes.backward);
    if (kind == CpKind::all_to_all) {
      out_.add_each("attention", cp, all / (cp.size() - 1));
      return;
    }
    std::vector<int64_t> to(static_cast<size_t>(cp.size()), 0);
    to[static_cast<size_t>((cp.place + 1) % cp.size())] = all;
    out_.add("attention", cp, to);
  }

  // The logits of all tokens of the micro-batch to all its ranks; without sp the residual stream is
  // cut for the experts and put together again.
  void routers() {
    const int tp = mesh_[Axis::tp];
    const int64_t own =
        attention_rows_ * (at(Axis::tp) + 1) / tp - attention_rows_ * at(Axis::tp) / tp;
    for (const auto& moe : layers_) {
      if (!moe) continue;
      RouterInputs inputs;
      inputs.experts = moe->experts;
      inputs.dim = model_.dim;
      for (const ParameterSpec& matrix :
           router_parameters(router_named(moe->router), moe->router_options, inputs)) {
        const int64_t rows = matrix.layout.global[0];
        out_.add_each("router rows", group({Axis::cp, Axis::tp}),
                      micro_batches_ * forwards_ * own * rows * bytes_of(moe->router_precision));
      }
      if (config_.parallel.sp) continue;
      out_.add_each("activations", group({Axis::tp}),
                    micro_batches_ * (forwards_ + 1) * own * model_.dim * compute_);
    }
  }

  // Counters of the routers over the data ranks; loss, its terms and the norm over all.
  void statistics() {
    const RankGroup dp = group({Axis::dp});
    Counters all;
    int64_t terms = 0;
    for (const auto& moe : model_.moe) {
      if (!moe) continue;
      all.add(no_stats(*moe));
      terms += static_cast<int64_t>(moe->balance.size());
    }
    counters(all, dp);
    if (mesh_[Axis::pp] > 1) counters(all, group({Axis::pp}));
    // Balance terms that wait for the whole batch: once more, those of the stage.
    Counters own;
    bool waits = false;
    for (const auto& moe : layers_) {
      if (!moe) continue;
      own.add(no_stats(*moe));
      waits = waits || std::any_of(moe->balance.begin(), moe->balance.end(), waits_for_batch);
    }
    if (waits) counters(own, dp);
    // Loss, sums of terms, stop, save; and four times of every stage. Then the norm.
    const RankGroup world = world_group(mesh_, rank_);
    out_.add_sums("statistics", world, 1, 5 + terms + 4 * mesh_[Axis::pp], 8);
    out_.add_sums("statistics", world, 1, 1, 8);
  }
  struct Counters {
    int64_t integers = 0;
    int64_t reals = 0;
    void add(const RouterStats& layer) {
      integers += layer.summed_integers();
      reals += layer.summed_reals();
    }
  };
  void counters(const Counters& counters, const RankGroup& over) {
    out_.add_sums("statistics", over, 1, counters.integers, 8);
    out_.add_sums("statistics", over, 1, counters.reals, 8);
  }

  const CostInputs& config_;
  const ModelConfig& model_;
  const MeshShape& mesh_;
  int rank_;
  std::array<int, kAxes> at_;
  int64_t micro_batches_;
  int64_t attention_rows_;  // of a micro-batch
  int64_t compute_;
  int64_t forwards_;  // of a block: recomputation repeats it
  int chunks_ = 1;
  std::vector<std::optional<MoEConfig>> layers_;  // of this stage
  Outgoing out_;
};

}  // namespace

CommunicationEstimate communication_of_rank(const CostInputs& config, int rank) {
  return RankTraffic(config, rank).all();
}

CommunicationEstimate estimate_communication(const CostInputs& config) {
  CommunicationEstimate heaviest;
  for (int rank = 0; rank < config.parallel.shape.world(); ++rank) {
    CommunicationEstimate estimate = communication_of_rank(config, rank);
    if (rank == 0 || estimate.bytes_per_step > heaviest.bytes_per_step) {
      heaviest = std::move(estimate);
    }
  }
  return heaviest;
}

}  // namespace troupe
