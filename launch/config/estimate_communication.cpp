#include <algorithm>
#include <map>

#include "launch/config/estimate.h"
#include "launch/config/parameter_plan.h"
#include "launch/config/routed_rows.h"
#include "moe/routers/table.h"
#include "parallel/comm/traffic_model.h"
#include "parallel/dp/bucket_plan.h"
#include "parallel/pp/schedule.h"

namespace troupe {
namespace {

int64_t bytes_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

// A rank's traffic, formula by formula. Rows that experts get are taken as evenly spread.
class RankTraffic {
 public:
  RankTraffic(const RunConfig& config, int rank)
      : config_(config),
        model_(config.model),
        mesh_(config.parallel.shape),
        rank_(rank),
        at_(coordinates(mesh_, rank)),
        micro_batches_(config.train.global_batch /
                       std::max<int64_t>(1, mesh_[Axis::dp] * config.train.micro_batch)),
        attention_rows_(config.train.micro_batch * model_.seq_len / mesh_[Axis::cp]),
        compute_(bytes_of(model_.compute)),
        forwards_(model_.recompute ? 2 : 1) {
    const int stages = mesh_[Axis::pp];
    chunks_ = chunks_per_stage(config.parallel);
    for (int chunk = 0; chunk < chunks_; ++chunk) {
      const LayerRange range =
          layers_of_place(model_.layers, stages * chunks_, chunk * stages + at(Axis::pp));
      layers_.insert(layers_.end(), model_.moe.begin() + range.begin,
                     model_.moe.begin() + range.end);
    }
  }

  CommunicationEstimate all() {
    gradients();
    stages();
    tensor_parallel();
    routers();
    experts();
    statistics();
    return std::move(estimate_);
  }

 private:
  void add(const char* name, const std::string& group, int64_t bytes) {
    if (bytes == 0) return;
    estimate_.bytes_per_step += bytes;
    for (CommunicationPart& part : estimate_.parts) {
      if (part.name != name || part.group != group) continue;
      part.bytes += bytes;
      return;
    }
    estimate_.parts.push_back({name, group, bytes});
  }
  int at(Axis axis) const { return at_[static_cast<size_t>(axis)]; }

  // Buckets hold gradients of one group each, so groups can be counted one by one.
  void gradients() {
    std::map<std::string, std::vector<GradientItem>> groups;
    for (const PlannedParameter& parameter :
         planned_parameters(model_, config_.parallel, at(Axis::pp))) {
      std::string group;
      for (int i = 0; i < kAxes; ++i) {
        const auto axis = static_cast<Axis>(i);
        if (parameter.layout.gradient_partial[static_cast<size_t>(i)] && mesh_[axis] > 1) {
          group += (group.empty() ? "" : "x") + std::string(name(axis));
        }
      }
      groups[group].push_back(
          {parameter.layout, local_elements(parameter, mesh_, rank_), wide(parameter.compute)});
    }
    const int zero = config_.parallel.zero;
    const int64_t rounds = zero >= 2 ? micro_batches_ : 1;
    for (const auto& [group, items] : groups) {
      if (group.empty()) continue;
      add(zero > 0 ? "gradients and updated weights" : "gradients", group,
          gradient_sync_bytes(items, mesh_, rank_, kBucketBytes, zero, rounds));
    }
  }

  bool first() const { return at(Axis::pp) == 0; }
  bool last() const { return at(Axis::pp) + 1 == mesh_[Axis::pp]; }

  // Every chunk but the last of all sends its value on, every one but the first a gradient back.
  void stages() {
    if (mesh_[Axis::pp] == 1) return;
    const int64_t rows = config_.parallel.sp ? attention_rows_ / mesh_[Axis::tp] : attention_rows_;
    const int64_t messages = 2 * chunks_ - (first() ? 1 : 0) - (last() ? 1 : 0);
    add("values between stages", "pp", micro_batches_ * messages * rows * model_.dim * compute_);
  }

  // Into and out of a tensor parallel region: rows are gathered and scattered (sp), or summed.
  // In forward one of the two sends without sp, in backward the other.
  void region(int64_t forwards) {
    const int tp = mesh_[Axis::tp];
    if (tp == 1) return;
    const int64_t times = config_.parallel.sp ? 2 * (forwards + 1) : forwards + 1;
    add("activations", "tp", micro_batches_ * times * region_bytes());
  }
  // One end of a region: out of the embedding and into the head.
  void half_region(bool here) {
    if (!here) return;
    const int64_t times = config_.parallel.sp ? 2 : 1;
    add("activations", "tp", micro_batches_ * times * region_bytes());
  }
  int64_t region_bytes() const {
    const int tp = mesh_[Axis::tp];
    return config_.parallel.sp
               ? all_gather_bytes_sent(attention_rows_ / tp * model_.dim, compute_, tp)
               : all_reduce_bytes_sent(attention_rows_ * model_.dim, compute_, at(Axis::tp), tp);
  }

  void tensor_parallel() {
    const int tp = mesh_[Axis::tp];
    if (tp == 1) return;
    half_region(first());  // out of the embedding
    half_region(last());   // into the head
    for (const auto& moe : layers_) {
      region(forwards_);                                       // attention
      if (!moe || moe->shared_experts > 0) region(forwards_);  // dense feed-forward
    }
    if (!last()) return;
    const int64_t parts = 2 * attention_rows_;
    add("vocabulary parts", "tp",
        micro_batches_ * all_gather_bytes_sent(parts, bytes_of(wide(model_.compute)), tp));
  }

  // Rows are cut unevenly where they do not divide; then the longest part is sent.
  static int64_t longest(int64_t rows, int parts) { return (rows + parts - 1) / parts; }

  // The logits of all tokens of the micro-batch to all its ranks; without sp the residual stream is
  // cut for the experts and put together again.
  void routers() {
    const int tp = mesh_[Axis::tp];
    const int cp = mesh_[Axis::cp];
    const int64_t own = longest(attention_rows_, tp);
    for (const auto& moe : layers_) {
      if (!moe) continue;
      if (cp * tp > 1) {
        const std::string group = tp == 1 ? "cp" : cp == 1 ? "tp" : "cpxtp";
        for (const RouterMatrix& matrix :
             router_matrices(*find_router(moe->router), moe->router_options, moe->experts)) {
          add("router rows", group,
              micro_batches_ * forwards_ *
                  all_gather_bytes_sent(own * matrix.rows, bytes_of(moe->router_precision),
                                        cp * tp));
        }
      }
      if (tp > 1 && !config_.parallel.sp) {
        add("activations", "tp",
            micro_batches_ * (forwards_ + 1) *
                all_gather_bytes_sent(own * model_.dim, compute_, tp));
      }
    }
  }

  // Forward: row counts, rows, gate weights, results; backward: the gradients of the last three. Of
  // the rows that a rank sends the share (ep - 1) / ep goes to others; over etp every rank of an
  // expert gets all rows of all its parts.
  void experts() {
    const int64_t ep = mesh_[Axis::ep];
    const int64_t etp = mesh_[Axis::etp];
    const int64_t passes = 2 * forwards_ + 2;
    const int64_t real = bytes_of(wide(model_.compute));
    for (const auto& moe : layers_) {
      if (!moe || ep * etp == 1) continue;
      const int64_t rows = routed_rows(*moe, config_.train.micro_batch, model_.seq_len) /
                           (mesh_[Axis::cp] * mesh_[Axis::tp]);
      const int64_t leaving = rows * (ep - 1) / ep;
      const auto per_step = [&](const char* name, const char* group, int64_t bytes) {
        add(name, group, micro_batches_ * bytes);
      };
      per_step("row counts", "ep", forwards_ * (ep - 1) * (moe->experts / ep) * 8);
      per_step("rows to and from experts", "ep", passes * leaving * model_.dim * compute_);
      per_step("gate weights", "ep", (forwards_ + 1) * leaving * real);
      per_step("row counts", "etp", forwards_ * (etp - 1) * ep * (moe->experts / ep) * 8);
      per_step("rows to and from experts", "etp",
               passes * (etp - 1) * rows * model_.dim * compute_);
      per_step("gate weights", "etp", (forwards_ + 1) * (etp - 1) * rows * real);
    }
  }

  // Counters of the routers over the data ranks; loss, its terms and the norm over all.
  void statistics() {
    int64_t integers = 0;
    int64_t reals = 0;
    int64_t terms = 0;
    for (const auto& moe : model_.moe) {
      if (!moe) continue;
      integers += 3 * moe->experts + 2;
      reals += 2 * moe->experts + 1;
      terms += static_cast<int64_t>(moe->balance.size());
    }
    const int dp = mesh_[Axis::dp];
    add("statistics", "dp",
        all_reduce_bytes_sent(integers, 8, at(Axis::dp), dp) +
            all_reduce_bytes_sent(reals, 8, at(Axis::dp), dp));
    const int pp = mesh_[Axis::pp];
    add("statistics", "pp",
        all_reduce_bytes_sent(integers, 8, at(Axis::pp), pp) +
            all_reduce_bytes_sent(reals, 8, at(Axis::pp), pp));
    // Loss, sums of terms, stop, save; and four times of every stage.
    add("statistics", "world",
        all_reduce_bytes_sent(5 + terms + 4 * pp, 8, rank_, mesh_.world()) +
            all_reduce_bytes_sent(1, 8, rank_, mesh_.world()));
  }

  const RunConfig& config_;
  const DecoderConfig& model_;
  const MeshShape& mesh_;
  int rank_;
  std::array<int, kAxes> at_;
  int64_t micro_batches_;
  int64_t attention_rows_;  // of a micro-batch
  int64_t compute_;
  int64_t forwards_;  // of a block: recomputation repeats it
  int chunks_ = 1;
  std::vector<std::optional<MoEConfig>> layers_;  // of this stage
  CommunicationEstimate estimate_;
};

}  // namespace

CommunicationEstimate communication_of_rank(const RunConfig& config, int rank) {
  return RankTraffic(config, rank).all();
}

CommunicationEstimate estimate_communication(const RunConfig& config) {
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
