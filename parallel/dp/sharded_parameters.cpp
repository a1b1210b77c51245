#include "parallel/dp/sharded_parameters.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/kernels/elementwise.h"

namespace troupe {
namespace {

Tensor flat(const Tensor& tensor, int64_t begin, int64_t count) {
  return tensor.strided({count}, {1}, begin);
}

void copy(const Tensor& from, const Tensor& to) {
  if (from.elements() > 0) kernels::copy(to.stream(), from.view(), to.view());
}

}  // namespace

ShardedParameters::ShardedParameters(std::vector<Parameter*> parameters,
                                     const std::vector<std::string>& units, const Mesh& mesh,
                                     int64_t bucket_bytes)
    : parameters_(std::move(parameters)), mesh_(mesh) {
  std::vector<GradientItem> items;
  for (const Parameter* parameter : parameters_) {
    const Tensor& value = parameter->value();
    items.push_back({parameter->layout(), value.elements(), value.dtype()});
  }
  const std::vector<Bucket> buckets = plan_buckets(items, mesh.shape(), bucket_bytes);
  std::map<size_t, Tensor> own;  // by bucket
  for (const ValueSegment& plan : value_segments(buckets, items, units)) {
    const Bucket& bucket = buckets[plan.bucket];
    const Layout& layout = items[bucket.parameters[0]].layout;
    Segment segment{plan, &mesh.value_group(layout), {}, {}, {}, {}};
    const int size = segment.group->size();
    const int rank = segment.group->rank();
    const std::vector<int64_t> begins = owner_begins(bucket.elements, size);
    const int64_t begin = begins[static_cast<size_t>(rank)];
    const int64_t count = begins[static_cast<size_t>(rank) + 1] - begin;
    if (!own[plan.bucket].defined()) {
      own[plan.bucket] =
          Tensor::empty({count}, bucket.dtype, parameters_[plan.parameters[0]]->value().device(),
                        MemoryKind::parameter);
    }
    for (int r = 0; r < size; ++r) {
      segment.pieces.push_back(owned_of_segment(plan, bucket, r, size));
    }
    const FlatRange& piece = segment.pieces[static_cast<size_t>(rank)];
    const int64_t at = piece.count > 0 ? plan.begin + piece.begin - begin : 0;
    keep_own(segment, bucket, flat(own[plan.bucket], at, piece.count));
    units_[plan.unit].segments.push_back(std::move(segment));
  }
  for (Parameter* parameter : parameters_) {
    if (parameter->keeps_owned_value_only() || parameter->value().storage()->held()) continue;
    parameter->value().storage()->allocate();  // one without elements
    parameter->draw();
  }
}

// Draws each parameter of the segment, keeps the own elements, and puts its value into the
// segment's memory.
void ShardedParameters::keep_own(Segment& segment, const Bucket& bucket, const Tensor& own) {
  segment.own = own;
  const FlatRange piece = segment.pieces[static_cast<size_t>(segment.group->rank())];
  int64_t at = 0;
  for (size_t i : segment.plan.parameters) {
    Parameter& parameter = *parameters_[i];
    const Tensor value = parameter.value();
    value.storage()->allocate();
    parameter.draw();
    const int64_t begin = std::clamp(piece.begin, at, at + value.elements());
    const int64_t end = std::clamp(piece.end(), at, at + value.elements());
    require(parameter.owned().count == end - begin, "{}: {} elements owned, {} of the segment",
            parameter.name(), parameter.owned().count, end - begin);
    copy(flat(value, begin - at, end - begin),
         flat(own, end > begin ? begin - piece.begin : 0, end - begin));
    value.storage()->free();
    at += value.elements();
  }
  segment.whole = Tensor::empty({segment.plan.elements}, bucket.dtype,
                                parameters_[segment.plan.parameters[0]]->value().device(),
                                MemoryKind::parameter);
  segment.whole.storage()->free();
  at = 0;
  int64_t owned = 0;
  for (size_t i : segment.plan.parameters) {
    Parameter& parameter = *parameters_[i];
    const Shape shape = parameter.value().shape();
    parameter.place_value(segment.whole.strided(shape, contiguous_strides(shape), at),
                          flat(own, owned, parameter.owned().count));
    at += shape.elements();
    owned += parameter.owned().count;
  }
}

void ShardedParameters::announce(std::vector<ValueUse> uses) {
  for (auto& [name, unit] : units_) {
    drop(unit);
    unit.stays = false;
  }
  uses_ = std::move(uses);
  at_ = 0;
  for (const ValueUse& use : uses_) {
    if (use.stays) units_[use.unit].stays = true;
  }
  if (!uses_.empty()) start(units_[uses_[0].unit]);
}

void ShardedParameters::gather(const std::string& unit) {
  require(at_ < uses_.size() && uses_[at_].unit == unit,
          "use {} of a step is of {}, {} was announced", at_, unit,
          at_ < uses_.size() ? uses_[at_].unit : "none");
  ++at_;
  start(units_[unit]);
  finish(units_[unit]);
  start_next(unit);
}

void ShardedParameters::release(const std::string& unit) {
  mesh_.world().progress();
  const bool again = at_ < uses_.size() && uses_[at_].unit == unit;
  if (!again && !units_[unit].stays) drop(units_[unit]);
}

// One unit ahead, and past those that stay: they are small.
void ShardedParameters::start_next(const std::string& current) {
  for (size_t next = at_; next < uses_.size(); ++next) {
    if (uses_[next].unit == current) continue;
    Unit& unit = units_[uses_[next].unit];
    start(unit);
    if (!unit.stays) return;
  }
}

// Each owner's piece goes to the others, straight to its place.
void ShardedParameters::start(Unit& unit) {
  if (unit.held) return;
  unit.held = true;
  for (Segment& segment : unit.segments) {
    segment.whole.storage()->allocate();
    for (int owner = 0; owner < segment.group->size(); ++owner) {
      const FlatRange& piece = segment.pieces[static_cast<size_t>(owner)];
      if (piece.count == 0) continue;
      const bool own = owner == segment.group->rank();
      const Tensor place = flat(segment.whole, piece.begin, piece.count);
      if (own) copy(segment.own, place);
      segment.coming.push_back(segment.group->broadcast((own ? segment.own : place).view(), owner,
                                                        "values of " + segment.plan.unit));
    }
  }
}

void ShardedParameters::finish(Unit& unit) {
  for (Segment& segment : unit.segments) {
    for (Work& work : segment.coming) work.wait(segment.whole.stream());
    segment.coming.clear();
  }
}

void ShardedParameters::drop(Unit& unit) {
  if (!unit.held) return;
  finish(unit);
  unit.held = false;
  for (Segment& segment : unit.segments) {
    for (size_t i : segment.plan.parameters) parameters_[i]->drop_forms();
    segment.whole.storage()->free();
  }
}

}  // namespace troupe
