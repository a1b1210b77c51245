// The known bugs of gradient sums that tests plant to see them caught.
#include "core/kernels/elementwise.h"
#include "parallel/dp/gradient_sync.h"

namespace troupe {
namespace {

void scale(const Tensor& tensor, double factor) {
  kernels::affine(tensor.stream(), tensor.view(), factor, 0.0, tensor.view());
}

}  // namespace

// The optimizer updates the elements one beside those that are then handed round.
void GradientSync::shift_owned(const RunningBucket& bucket) {
  if (zero_ == 0) return;
  for (size_t i : bucket.plan.parameters) {
    if (owned_[i].count > 0 && owned_[i].end() < items_[i].elements) ++owned_[i].begin;
  }
}

// Sums a bucket although one of its gradients is still to come.
void GradientSync::start_stale_bucket() {
  if (started_ == buckets_.size()) return;
  RunningBucket& bucket = buckets_[started_];
  if (bucket.missing != 1 || bucket.plan.parameters.size() < 2) return;
  ++started_;
  start(bucket);
  finish_sum(bucket);
}

void GradientSync::spoil_sums() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = *parameters_[i];
    if (planted(PlantedBug::gradient_twice_under_ep) &&
        parameter.layout().mesh == MeshKind::experts) {
      scale(parameter.owned_gradient(), mesh_.size(Axis::ep));
    }
    // All tp ranks hold the same sum by now: one more over them multiplies.
    if (planted(PlantedBug::router_gradient_twice_under_tp) &&
        parameter.name().find(".router.") != std::string::npos) {
      scale(parameter.owned_gradient(), mesh_.size(Axis::tp));
    }
    if (planted(PlantedBug::averaged_over_wrong_group) && bucket_of_[i] >= 0) {
      scale(parameter.owned_gradient(),
            1.0 / buckets_[static_cast<size_t>(bucket_of_[i])].group->size());
    }
  }
}

}  // namespace troupe
