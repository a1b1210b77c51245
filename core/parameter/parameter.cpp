#include "core/parameter/parameter.h"

#include <algorithm>
#include <span>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/packed_weights.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

// The value as a bank of matrices [experts, out, in]: the last two dims are the matrix.
struct Bank {
  int64_t experts = 1;
  int64_t out = 1;
  int64_t in = 1;
};

Bank bank_of(const Shape& shape) {
  Bank bank;
  if (shape.rank() > 0) bank.in = shape[-1];
  if (shape.rank() > 1) bank.out = shape[-2];
  for (int dim = 0; dim + 2 < shape.rank(); ++dim) bank.experts *= shape[dim];
  return bank;
}

void draw_row(const Random& random, const Init& init, int64_t first_index, int64_t count, DType to,
              void* row) {
  const auto first = static_cast<uint64_t>(first_index);
  if (to == DType::f64) {
    const std::span values(static_cast<double*>(row), static_cast<size_t>(count));
    random.normals(first, values);
    for (double& value : values) value *= init.scale;
  } else {
    random.scaled_normals(first, init.scale,
                          std::span(static_cast<float*>(row), static_cast<size_t>(count)));
  }
}

void fill(const Tensor& tensor, double value) {
  if (tensor.dtype() == DType::f64) {
    std::ranges::fill(host_output<double>(tensor), value);
  } else {
    std::ranges::fill(host_output<float>(tensor), static_cast<float>(value));
  }
}

void check_slice(const std::string& name, const Shape& global, const LocalSlice& slice) {
  int64_t held = 0;
  for (const LocalPart& part : slice.parts) {
    const Box& box = part.global;
    require(box.size.rank() == global.rank() && box.offset.rank() == global.rank(),
            "parameter {}: a box of rank {} in a tensor of shape {}", name, box.size.rank(),
            global.text());
    for (int dim = 0; dim < global.rank(); ++dim) {
      require(box.offset[dim] + box.size[dim] <= global[dim],
              "parameter {}: the box at {} of size {} leaves the global shape {}", name,
              box.offset.text(), box.size.text(), global.text());
      require(part.local_offset[dim] + box.size[dim] <= slice.shape[dim],
              "parameter {}: the box at {} of size {} leaves the local shape {}", name,
              part.local_offset.text(), box.size.text(), slice.shape.text());
    }
    held += box.size.elements();
  }
  require(held == slice.shape.elements(), "parameter {}: boxes of {} elements for a local {}", name,
          held, slice.shape.text());
}

}  // namespace

Parameter::Parameter(std::string name, Layout layout, LocalSlice slice, DType compute, Init init,
                     bool decay, const std::shared_ptr<Device>& device)
    : name_(std::move(name)),
      layout_(std::move(layout)),
      slice_(std::move(slice)),
      compute_(compute),
      init_(init),
      decay_(decay) {
  check_slice(name_, layout_.global, slice_);
  value_ = Tensor::empty(slice_.shape, wide(compute_), device, MemoryKind::parameter);
  owned_ = {0, slice_.shape.elements()};
  show_owned_value();
}

Parameter::~Parameter() = default;

void Parameter::initialize(uint64_t seed) {
  seed_ = seed;
  if (value_.storage()->held()) draw();
}

void Parameter::draw() {
  value_changed();
  if (init_.kind != Init::Kind::normal) {
    const double constant = init_.kind == Init::Kind::ones       ? 1.0
                            : init_.kind == Init::Kind::constant ? init_.scale
                                                                 : 0.0;
    fill(value_, constant);
    return;
  }
  const Random random(seed_, "init", name_);
  const HostBytes host(value_, HostAccess::write);  // the parts are all of it
  for (const LocalPart& part : slice_.parts) draw_part(random, part, host.data());
}

void Parameter::draw_part(const Random& random, const LocalPart& part, std::byte* value) const {
  const Shape& size = part.global.size;
  const int rank = size.rank();
  const int64_t row = rank > 0 ? size[-1] : 1;
  const Shape global_strides = contiguous_strides(layout_.global);
  const Shape local_strides = contiguous_strides(slice_.shape);
  parallel_for(value_.stream(), size.elements() / row, [&](int64_t piece) {
    int64_t rest = piece;
    int64_t global = rank > 0 ? part.global.offset[-1] : 0;
    int64_t local = rank > 0 ? part.local_offset[-1] : 0;
    for (int dim = rank - 2; dim >= 0; --dim) {
      const int64_t at = rest % size[dim];
      global += (part.global.offset[dim] + at) * global_strides[dim];
      local += (part.local_offset[dim] + at) * local_strides[dim];
      rest /= size[dim];
    }
    std::byte* to = value + local * static_cast<int64_t>(size_of(value_.dtype()));
    draw_row(random, init_, global, row, value_.dtype(), to);
  });
}

const Tensor& Parameter::compute_value() {
  if (compute_ == value_.dtype()) return value_;
  const Tensor& plain = forms().plain();
  if (!compute_value_.defined() || compute_value_.storage() != plain.storage()) {
    compute_value_ = plain.strided(slice_.shape, contiguous_strides(slice_.shape), 0);
  }
  return compute_value_;
}

PackedWeights& Parameter::forms() {
  if (!forms_) {
    const Bank bank = bank_of(slice_.shape);
    forms_ = PackedWeights::make(bank.experts, bank.out, bank.in, compute_, value_.device());
  }
  forms_->refresh(value_, version_);
  return *forms_;
}

void Parameter::drop_forms() {
  compute_value_ = Tensor();
  if (forms_) forms_->drop();
}

void Parameter::place_value(Tensor value, Tensor owned) {
  require(value.contiguous() && value.shape() == value_.shape() && value.dtype() == value_.dtype(),
          "parameter {} of shape {} in {} got a value of shape {} in {}", name_,
          value_.shape().text(), troupe::name(value_.dtype()), value.shape().text(),
          troupe::name(value.dtype()));
  require(owned.elements() == owned_.count && owned.dtype() == value_.dtype(),
          "parameter {}: memory of {} elements for the value of {} owned ones", name_,
          owned.elements(), owned_.count);
  drop_forms();
  value_ = value.detach();
  owned_value_ = owned.detach();
  owned_value_placed_ = true;
  value_changed();
}

void Parameter::place_gradient(Tensor memory) {
  require(
      memory.contiguous() && memory.shape() == value_.shape() && memory.dtype() == value_.dtype(),
      "parameter {} of shape {} in {} got a gradient of shape {} in {}", name_,
      value_.shape().text(), troupe::name(value_.dtype()), memory.shape().text(),
      troupe::name(memory.dtype()));
  gradient_ = memory.detach();
  fresh_ = true;
  show_owned_gradient();
}

void Parameter::release_gradient() {
  gradient_ = Tensor();
  fresh_ = true;
  show_owned_gradient();
}

void Parameter::own(const FlatRange& range) {
  require(range.begin >= 0 && range.count >= 0 && range.end() <= slice_.shape.elements(),
          "parameter {} of shape {}: elements [{}, {}) to own", name_, slice_.shape.text(),
          range.begin, range.end());
  owned_ = range;
  owned_placed_ = false;
  show_owned_gradient();
  show_owned_value();
}

void Parameter::show_owned_value() {
  require(!owned_value_placed_, "parameter {}: its owner keeps its value", name_);
  owned_value_ = value_.strided({owned_.count}, {1}, owned_.begin);
}

void Parameter::place_owned_gradient(Tensor memory) {
  require(
      memory.contiguous() && memory.elements() == owned_.count && memory.dtype() == value_.dtype(),
      "parameter {}: memory of {} elements for the gradient of {} owned ones", name_,
      memory.elements(), owned_.count);
  owned_gradient_ = memory.detach();
  owned_placed_ = true;
}

void Parameter::show_owned_gradient() {
  if (owned_placed_) return;
  owned_gradient_ =
      gradient_.defined() ? gradient_.strided({owned_.count}, {1}, owned_.begin) : Tensor();
}

const Tensor& Parameter::begin_accumulate(bool& fresh) {
  if (!gradient_.defined() && source_) source_(*this);
  if (!gradient_.defined()) {
    gradient_ =
        Tensor::empty(value_.shape(), value_.dtype(), value_.device(), MemoryKind::gradient);
    show_owned_gradient();
  }
  fresh = fresh_;
  return gradient_;
}

void Parameter::end_accumulate() {
  fresh_ = false;
  if (pending_ > 0) --pending_;
  if (pending_ == 0 && sink_) sink_(*this);
}

void Parameter::accumulate(const Tensor& gradient) {
  require(gradient.shape() == value_.shape(),
          "parameter {} of shape {} got a gradient of shape {} to add", name_,
          value_.shape().text(), gradient.shape().text());
  bool fresh = false;
  const Tensor& target = begin_accumulate(fresh);
  if (fresh) {
    kernels::copy(target.stream(), gradient.view(), target.view());
  } else if (gradient.dtype() == target.dtype()) {
    kernels::add(target.stream(), target.view(), gradient.view(), target.view());
  } else {
    const Tensor converted = Tensor::empty(target.shape(), target.dtype(), target.device());
    kernels::copy(target.stream(), gradient.view(), converted.view());
    kernels::add(target.stream(), target.view(), converted.view(), target.view());
  }
  end_accumulate();
}

Tensor Parameter::as_tensor() {
  use();
  const Tensor& value = compute_value();
  if (!grad_enabled()) return value.detach();
  return leaf(value, [this](const Tensor& gradient) { accumulate(gradient); });
}

void Parameter::finish_gradient() {
  if (!fresh_ || owned_placed_) return;
  bool fresh = false;
  begin_accumulate(fresh).set_zero();
  fresh_ = false;
}

}  // namespace troupe
