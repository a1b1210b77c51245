// Sums gradients over the ranks that saw other tokens, in buckets, while backward still runs.
//
//   sync.begin_step();
//   for each micro-batch: { if (last) sync.last_micro_batch(); forward; backward; }
//   sync.finish();                       // every gradient is now the sum over all ranks
//   double norm = sync.gradient_norm();  // of the whole model, each element counted once
//   optimizer.step(lr, clip_scale(norm, clip));
#pragma once

#include <memory>
#include <vector>

#include "core/parameter/parameter.h"
#include "parallel/dp/bucket_plan.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

class GradientSync {
 public:
  // Places the gradients of all parameters whose gradient group has several ranks into buckets and
  // becomes their gradient sink. Parameters and mesh must outlive this.
  GradientSync(std::vector<Parameter*> parameters, const Mesh& mesh,
               int64_t bucket_bytes = kBucketBytes);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  // Empties all gradients.
  void begin_step();
  // From here on a parameter whose gradient is complete is ready to be summed.
  void last_micro_batch();
  // Sums what is left (parameters without a gradient count as zero) and waits for all sums.
  void finish();

  // After finish(): the 2-norm of the gradient of the whole model, summed in f64, the same bits on
  // every rank whatever the number of threads. Each element is counted once: of the ranks that hold
  // the same part each sums its own share of the chunks. Collective over the world.
  double gradient_norm();

 private:
  struct RunningBucket {
    Bucket plan;
    Communicator* group = nullptr;
    Tensor memory;
    std::string site;
    size_t missing = 0;  // parameters that are not ready
    Work work;
  };
  void place(RunningBucket& bucket);
  void ready(size_t parameter);
  void start_full_buckets();

  std::vector<Parameter*> parameters_;
  const Mesh& mesh_;
  std::vector<RunningBucket> buckets_;
  std::vector<int> bucket_of_;  // per parameter; -1: nothing to sum
  std::vector<char> ready_;     // per parameter
  size_t started_ = 0;          // buckets before this one are on their way
  bool last_ = false;
};

// What gradients are multiplied by so that their norm is at most `largest`; 1 where `largest` is 0.
double clip_scale(double norm, double largest);

}  // namespace troupe
