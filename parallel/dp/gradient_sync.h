// Sums gradients over the ranks that saw other tokens, in buckets, while backward still runs, and
// with parallel.zero > 0 leaves each sum on the rank that owns it only (parallel/dp/ownership.h).
//
//   sync.begin_step();
//   for each micro-batch: { sync.begin_micro_batch(last); forward; backward; }
//   sync.finish();                       // every owned gradient is now the sum over all ranks
//   double norm = sync.gradient_norm();  // of the whole model, each element counted once
//   sync.update(optimizer, lr, clip_scale(norm, clip));
//
// zero 0: every rank has every sum and updates everything.
// zero 1: each rank updates what it owns and the updated values are handed round. The bits are
//         those of zero 0. gradient() of a parameter is a sum in the owned range only.
// zero 2: as zero 1, and gradients are summed after every micro-batch. The memory of a bucket is
//         given back as soon as it is summed: owned_gradient() stays, gradient() does not.
// zero 3: as zero 2, and values are sharded (parallel/dp/sharded_parameters.h), so none is handed
// round.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/optim/optimizer.h"
#include "core/parameter/parameter.h"
#include "parallel/dp/ownership.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

class GradientSync {
 public:
  // Places the gradients of all parameters whose gradient group has several ranks into buckets and
  // becomes their gradient sink; tells the parameters what this rank owns. So it must come before
  // their optimizer. Parameters and mesh must outlive this.
  GradientSync(std::vector<Parameter*> parameters, const Mesh& mesh,
               int64_t bucket_bytes = kBucketBytes);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  // Empties all gradients.
  void begin_step();
  // With the last micro-batch (zero 2: with each that is announced) gradients are summed as they
  // become complete.
  void begin_micro_batch(bool last);
  // Sums what is left (parameters without a gradient count as zero) and waits for all sums.
  void finish();

  // After finish(): the 2-norm of the gradient of the whole model, summed in f64, the same bits on
  // every rank whatever the number of threads and with zero 0 and 1. Each element is counted once,
  // by its owner. Collective over the world.
  double gradient_norm();

  // Updates the owned elements and hands the new values round, bucket after bucket: while one
  // travels the next is updated. The optimizer's parameters are those given here, in their order.
  void update(Optimizer& optimizer, double lr, double gradient_scale);

 private:
  struct RunningBucket {
    Bucket plan;
    Communicator* group = nullptr;
    Tensor memory;             // zero 2: only while gradients of a micro-batch grow and travel
    Tensor owned;              // zero 2: sums of the own piece
    bool over_stages = false;  // of a tied embedding: summed over both ends of the pipeline
    std::string site;
    std::vector<int64_t> begins;   // of the ranks' pieces
    std::vector<int64_t> sending;  // elements of each piece
    std::vector<int64_t> coming;   // the own piece from each rank
    size_t missing = 0;            // parameters that are not ready
    Work work;
    Tensor arrived;       // the own piece of every rank
    bool adding = false;  // arrived is still to be summed
    bool summed = false;  // in this step

    int64_t own_begin() const { return begins[static_cast<size_t>(group->rank())]; }
    int64_t own_count() const { return sending[static_cast<size_t>(group->rank())]; }
  };
  void plan(int64_t bucket_bytes);
  std::vector<OwnedPart> parts_of(const RunningBucket& bucket, int owner) const;
  void place_owned(RunningBucket& bucket);
  void place(RunningBucket& bucket);
  void begin_round();
  void finish_round();
  void ready(size_t parameter);
  void start_full_buckets();
  void start(RunningBucket& bucket);
  void finish_sum(RunningBucket& bucket);
  void add_arrived(RunningBucket& bucket);
  std::vector<Work> broadcast_updated(const RunningBucket& bucket);

  // What tests plant (parallel/mesh/planted_bug.h).
  bool planted(PlantedBug bug) const { return mesh_.parallelism().planted == bug; }
  void shift_owned(const RunningBucket& bucket);
  void start_stale_bucket();
  void spoil_sums();

  std::vector<Parameter*> parameters_;
  const Mesh& mesh_;
  int zero_;
  std::vector<GradientItem> items_;
  std::vector<FlatRange> owned_;  // per parameter: what this rank counts in the norm
  std::vector<RunningBucket> buckets_;
  std::vector<int> bucket_of_;  // per parameter; -1: nothing to sum
  std::vector<char> ready_;     // per parameter
  size_t started_ = 0;          // buckets before this one are on their way
  bool summing_ = false;
};

// What gradients are multiplied by so that their norm is at most `largest`; 1 where `largest` is 0.
double clip_scale(double norm, double largest);

}  // namespace troupe
