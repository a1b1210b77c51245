#include "parallel/dp/gradient_sync.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/device/parallel_for.h"
#include "core/kernels/optimizer.h"

namespace troupe {
namespace {

// Elements of one chunk of the norm: fixed, so that neither threads nor buckets change its bits.
constexpr int64_t kNormChunk = 65536;

}  // namespace

GradientSync::GradientSync(std::vector<Parameter*> parameters, const Mesh& mesh,
                           int64_t bucket_bytes)
    : parameters_(std::move(parameters)),
      mesh_(mesh),
      bucket_of_(parameters_.size(), -1),
      ready_(parameters_.size(), 0) {
  std::vector<GradientItem> items;
  for (const Parameter* parameter : parameters_) {
    const Tensor& value = parameter->value();
    items.push_back({parameter->layout(), value.elements(), value.dtype()});
  }
  for (Bucket& plan : plan_buckets(items, mesh_.shape(), bucket_bytes)) {
    RunningBucket bucket;
    bucket.plan = std::move(plan);
    bucket.group = &mesh_.gradient_group(parameters_[bucket.plan.parameters[0]]->layout());
    bucket.site = fmt::format("gradient bucket {}", buckets_.size());
    for (size_t i : bucket.plan.parameters) bucket_of_[i] = static_cast<int>(buckets_.size());
    place(bucket);
    buckets_.push_back(std::move(bucket));
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (bucket_of_[i] < 0) continue;
    parameters_[i]->on_gradient_ready([this, i](Parameter&) {
      if (last_) ready(i);
    });
  }
}

GradientSync::~GradientSync() {
  for (Parameter* parameter : parameters_) parameter->on_gradient_ready({});
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
  last_ = false;
  started_ = 0;
  std::fill(ready_.begin(), ready_.end(), 0);
  for (RunningBucket& bucket : buckets_) {
    bucket.work.wait();  // of a step that was given up
    bucket.missing = bucket.plan.parameters.size();
  }
  for (Parameter* parameter : parameters_) parameter->zero_gradient();
}

void GradientSync::last_micro_batch() { last_ = true; }

void GradientSync::ready(size_t parameter) {
  require(ready_[parameter] == 0,
          "the gradient of {} grew after it had been given away to be summed",
          parameters_[parameter]->name());
  ready_[parameter] = 1;
  --buckets_[static_cast<size_t>(bucket_of_[parameter])].missing;
  start_full_buckets();
  // Backward is long: let the running sums go on.
  mesh_.world().progress();
}

void GradientSync::start_full_buckets() {
  // Strictly in order: then every rank enters the collectives of a group in the same order, however
  // its backward pass went.
  while (started_ < buckets_.size() && buckets_[started_].missing == 0) {
    RunningBucket& bucket = buckets_[started_++];
    bucket.work = bucket.group->all_reduce_sum(bucket.memory.view(), bucket.site);
  }
}

void GradientSync::finish() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i]->finish_gradient();
    if (bucket_of_[i] >= 0 && ready_[i] == 0) {
      ready_[i] = 1;
      --buckets_[static_cast<size_t>(bucket_of_[i])].missing;
    }
  }
  start_full_buckets();
  for (RunningBucket& bucket : buckets_) bucket.work.wait();
  last_ = false;
}

double GradientSync::gradient_norm() {
  struct Chunk {
    const Parameter* parameter;
    int64_t begin;
    int64_t count;
  };
  std::vector<Chunk> chunks;
  const auto at = coordinates(mesh_.shape(), mesh_.world().rank());
  for (const Parameter* parameter : parameters_) {
    // The replicas of a part hold the same gradient: they take turns.
    const int64_t copies = replicas(parameter->layout(), mesh_.shape());
    const int64_t mine = replica_index(parameter->layout(), mesh_.shape(), at);
    const int64_t elements = parameter->value().elements();
    for (int64_t begin = mine * kNormChunk; begin < elements; begin += copies * kNormChunk) {
      chunks.push_back({parameter, begin, std::min(kNormChunk, elements - begin)});
    }
  }
  std::vector<double> sums(chunks.size());
  const auto& device = parameters_.at(0)->value().device();
  parallel_for(device->stream(), static_cast<int64_t>(chunks.size()), [&](int64_t i) {
    const Chunk& chunk = chunks[static_cast<size_t>(i)];
    const Tensor& gradient = chunk.parameter->gradient();
    const auto* first = static_cast<const std::byte*>(gradient.view().data) +
                        chunk.begin * static_cast<int64_t>(size_of(gradient.dtype()));
    sums[static_cast<size_t>(i)] = kernels::sum_of_squares(gradient.dtype(), first, chunk.count);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  mesh_.world()
      .all_reduce_sum({&total, DType::f64, {1}, {1}, DeviceKind::cpu}, "gradient norm")
      .wait();
  return std::sqrt(total);
}

double clip_scale(double norm, double largest) {
  return largest > 0 && norm > largest ? largest / norm : 1.0;
}

}  // namespace troupe
