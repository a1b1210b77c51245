#include "parallel/dp/gradient_sync.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/reduce.h"

namespace troupe {
namespace {

Tensor flat(const Tensor& tensor, int64_t begin, int64_t count) {
  return tensor.strided({count}, {1}, begin);
}

}  // namespace

GradientSync::GradientSync(std::vector<Parameter*> parameters, const Mesh& mesh,
                           int64_t bucket_bytes)
    : parameters_(std::move(parameters)),
      mesh_(mesh),
      zero_(mesh.parallelism().zero),
      bucket_of_(parameters_.size(), -1),
      ready_(parameters_.size(), 0) {
  for (const Parameter* parameter : parameters_) {
    const Tensor& value = parameter->value();
    items_.push_back({parameter->layout(), value.elements(), value.dtype()});
  }
  for (const GradientItem& item : items_) owned_.push_back({0, item.elements});
  plan(bucket_bytes);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (bucket_of_[i] < 0) continue;
    parameters_[i]->on_gradient_ready([this, i](Parameter&) {
      if (summing_) ready(i);
    });
    if (zero_ < 2) continue;
    parameters_[i]->on_gradient_wanted(
        [this, i](Parameter&) { place(buckets_[static_cast<size_t>(bucket_of_[i])]); });
  }
}

GradientSync::~GradientSync() {
  for (Parameter* parameter : parameters_) {
    parameter->on_gradient_ready({});
    parameter->on_gradient_wanted({});
  }
}

void GradientSync::plan(int64_t bucket_bytes) {
  for (Bucket& plan : plan_buckets(items_, mesh_.shape(), bucket_bytes)) {
    RunningBucket bucket;
    bucket.plan = std::move(plan);
    bucket.group = &mesh_.gradient_group(parameters_[bucket.plan.parameters[0]]->layout());
    const Parameter& first = *parameters_[bucket.plan.parameters[0]];
    // The two stages that hold a tied embedding count their buckets apart.
    bucket.over_stages = first.layout().gradient_partial[static_cast<size_t>(Axis::pp)];
    bucket.site = bucket.over_stages ? "gradient of " + first.name()
                                     : fmt::format("gradient bucket {}", buckets_.size());
    bucket.begins = owner_begins(bucket.plan.elements, bucket.group->size());
    for (size_t r = 0; r + 1 < bucket.begins.size(); ++r) {
      bucket.sending.push_back(bucket.begins[r + 1] - bucket.begins[r]);
    }
    bucket.coming.assign(bucket.sending.size(), bucket.own_count());
    for (size_t i : bucket.plan.parameters) {
      bucket_of_[i] = static_cast<int>(buckets_.size());
      owned_[i] = {0, 0};
    }
    for (const OwnedPart& part : parts_of(bucket, bucket.group->rank())) {
      owned_[part.parameter] = part.range;
    }
    if (planted(PlantedBug::wrong_shard_offset)) shift_owned(bucket);
    if (zero_ > 0) {
      for (size_t i : bucket.plan.parameters) parameters_[i]->own(owned_[i]);
    }
    if (zero_ < 2) {
      place(bucket);
    } else {
      place_owned(bucket);
    }
    buckets_.push_back(std::move(bucket));
  }
}

std::vector<OwnedPart> GradientSync::parts_of(const RunningBucket& bucket, int owner) const {
  return owned_parts(bucket.plan, items_, owner, bucket.group->size());
}

void GradientSync::place_owned(RunningBucket& bucket) {
  const auto& device = parameters_[bucket.plan.parameters[0]]->value().device();
  bucket.owned =
      Tensor::empty({bucket.own_count()}, bucket.plan.dtype, device, MemoryKind::gradient);
  for (size_t i : bucket.plan.parameters) {
    if (owned_[i].count == 0) parameters_[i]->place_owned_gradient(flat(bucket.owned, 0, 0));
  }
  for (const OwnedPart& part : parts_of(bucket, bucket.group->rank())) {
    parameters_[part.parameter]->place_owned_gradient(
        flat(bucket.owned, part.bucket_begin - bucket.own_begin(), part.range.count));
  }
}

void GradientSync::place(RunningBucket& bucket) {
  const auto& device = parameters_[bucket.plan.parameters[0]]->value().device();
  bucket.memory =
      Tensor::empty({bucket.plan.elements}, bucket.plan.dtype, device, MemoryKind::gradient);
  int64_t offset = 0;
  for (size_t i : bucket.plan.parameters) {
    const Shape& shape = parameters_[i]->value().shape();
    parameters_[i]->place_gradient(bucket.memory.strided(shape, contiguous_strides(shape), offset));
    offset += shape.elements();
  }
}

void GradientSync::begin_step() {
  summing_ = false;
  for (RunningBucket& bucket : buckets_) {
    bucket.work.finish();  // of a step that was given up
    bucket.arrived = Tensor();
    bucket.adding = false;
    bucket.summed = false;
  }
  for (Parameter* parameter : parameters_) parameter->zero_gradient();
}

void GradientSync::begin_micro_batch(bool last) {
  if (summing_) finish_round();
  if (last || zero_ >= 2) begin_round();
}

void GradientSync::begin_round() {
  summing_ = true;
  started_ = 0;
  std::fill(ready_.begin(), ready_.end(), 0);
  for (RunningBucket& bucket : buckets_) bucket.missing = bucket.plan.parameters.size();
}

void GradientSync::finish() {
  if (!summing_) begin_round();
  finish_round();
  for (Parameter* parameter : parameters_) parameter->finish_gradient();
  if (mesh_.parallelism().planted) spoil_sums();
}

void GradientSync::finish_round() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (bucket_of_[i] < 0 || ready_[i] != 0) continue;
    RunningBucket& bucket = buckets_[static_cast<size_t>(bucket_of_[i])];
    if (!bucket.memory.defined()) place(bucket);
    parameters_[i]->finish_gradient();
    if (parameters_[i]->gradient_is_fresh()) {  // zero 2
      parameters_[i]->gradient().set_zero();
    }
    ready_[i] = 1;
    --bucket.missing;
  }
  start_full_buckets();
  for (RunningBucket& bucket : buckets_) finish_sum(bucket);
  summing_ = false;
}

void GradientSync::ready(size_t parameter) {
  require(ready_[parameter] == 0,
          "the gradient of {} grew after it had been given away to be summed",
          parameters_[parameter]->name());
  ready_[parameter] = 1;
  --buckets_[static_cast<size_t>(bucket_of_[parameter])].missing;
  start_full_buckets();
  // Backward is long: let the running sums go on, and give their memory back.
  mesh_.world().progress();
  for (size_t i = 0; i < started_; ++i) {
    if (buckets_[i].adding && buckets_[i].work.done()) finish_sum(buckets_[i]);
  }
}

void GradientSync::start_full_buckets() {
  // Strictly in order: then every rank enters the collectives of a group in the same order, however
  // its backward pass went.
  while (started_ < buckets_.size() && buckets_[started_].missing == 0) {
    // Where sums need memory of their own one travels at a time: what they take must not depend on
    // how fast the ranks are. Not that of both ends of the pipeline: the far end comes to its sum
    // only when this rank goes on.
    if (zero_ > 0 && started_ > 0 && !buckets_[started_ - 1].over_stages)
      finish_sum(buckets_[started_ - 1]);
    start(buckets_[started_++]);
  }
  if (planted(PlantedBug::stale_bucket)) start_stale_bucket();
}

void GradientSync::start(RunningBucket& bucket) {
  if (zero_ == 0) {
    bucket.work = bucket.group->all_reduce_sum(bucket.memory.view(), bucket.site);
    return;
  }
  bucket.arrived = Tensor::empty({bucket.own_count() * bucket.group->size()}, bucket.plan.dtype,
                                 bucket.memory.device(), MemoryKind::communication);
  bucket.adding = true;
  bucket.work = bucket.group->all_to_all(bucket.memory.view(), bucket.sending,
                                         bucket.arrived.view(), bucket.coming, bucket.site);
}

void GradientSync::finish_sum(RunningBucket& bucket) {
  bucket.work.wait(parameters_[bucket.plan.parameters[0]]->value().stream());
  if (!bucket.adding) return;
  add_arrived(bucket);
  bucket.arrived = Tensor();
  bucket.adding = false;
  bucket.summed = true;
  if (zero_ < 2) return;
  for (size_t i : bucket.plan.parameters) parameters_[i]->release_gradient();
  bucket.memory = Tensor();
}

// In rank order, as all_reduce_sum does; sums of earlier micro-batches come first.
void GradientSync::add_arrived(RunningBucket& bucket) {
  const Operator op("add gradients", bucket.arrived.stream());
  const int64_t count = bucket.own_count();
  const bool more = zero_ >= 2 && bucket.summed;
  const Tensor& to = zero_ >= 2 ? bucket.owned : bucket.memory;
  const Tensor out = flat(to, zero_ >= 2 ? 0 : bucket.own_begin(), count);
  std::vector<kernels::Part> parts;
  if (more) parts.push_back({out.view()});
  for (int rank = 0; rank < bucket.group->size(); ++rank)
    parts.push_back({flat(bucket.arrived, rank * count, count).view()});
  kernels::sum_in_order(out.stream(), parts, out.view());
}

void GradientSync::update(Optimizer& optimizer, double lr, double gradient_scale) {
  if (zero_ == 0) return optimizer.step(lr, gradient_scale);
  optimizer.begin_step(lr, gradient_scale);
  std::vector<Work> travelling;
  for (const RunningBucket& bucket : buckets_) {
    optimizer.update_parameters(bucket.plan.parameters);
    // Where values are spread, too, whoever uses them gathers them.
    if (parameters_[bucket.plan.parameters[0]]->keeps_owned_value_only()) continue;
    for (Work& work : broadcast_updated(bucket)) travelling.push_back(std::move(work));
  }
  std::vector<size_t> alone;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (bucket_of_[i] < 0) alone.push_back(i);
  }
  optimizer.update_parameters(alone);
  for (Work& work : travelling) work.wait(parameters_[0]->value().stream());
  for (Parameter* parameter : parameters_) {
    if (parameter->owned().count < parameter->value().elements()) parameter->value_changed();
  }
}

// Each owner's parts go to the others, straight from place to place.
std::vector<Work> GradientSync::broadcast_updated(const RunningBucket& bucket) {
  std::vector<Work> works;
  for (int owner = 0; owner < bucket.group->size(); ++owner) {
    for (const OwnedPart& part : parts_of(bucket, owner)) {
      const Tensor& value = parameters_[part.parameter]->value();
      works.push_back(bucket.group->broadcast(
          flat(value, part.range.begin, part.range.count).view(), owner, "updated values"));
    }
  }
  return works;
}

double clip_scale(double norm, double largest) {
  return largest > 0 && norm > largest ? largest / norm : 1.0;
}

}  // namespace troupe
