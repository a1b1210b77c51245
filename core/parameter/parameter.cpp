#include "core/parameter/parameter.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/device/parallel_for.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/weight_forms.h"

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
  for (int64_t i = 0; i < count; ++i) {
    const double value = init.scale * random.normal(static_cast<uint64_t>(first_index + i));
    if (to == DType::f64) {
      static_cast<double*>(row)[i] = value;
    } else {
      static_cast<float*>(row)[i] = static_cast<float>(value);
    }
  }
}

void fill(const Tensor& tensor, double value) {
  const int64_t count = tensor.elements();
  if (tensor.dtype() == DType::f64) {
    std::fill_n(tensor.data<double>(), count, value);
  } else {
    std::fill_n(tensor.data<float>(), count, static_cast<float>(value));
  }
}

}  // namespace

Parameter::Parameter(std::string name, Layout layout, Box box, DType compute, Init init, bool decay,
                     const std::shared_ptr<Device>& device)
    : name_(std::move(name)),
      layout_(std::move(layout)),
      box_(box),
      compute_(compute),
      init_(init),
      decay_(decay) {
  const Shape& global = layout_.global;
  require(box_.size.rank() == global.rank() && box_.offset.rank() == global.rank(),
          "parameter {}: a box of rank {} in a tensor of shape {}", name_, box_.size.rank(),
          global.text());
  for (int dim = 0; dim < global.rank(); ++dim) {
    require(box_.offset[dim] + box_.size[dim] <= global[dim],
            "parameter {}: the box at {} of size {} leaves the global shape {}", name_,
            box_.offset.text(), box_.size.text(), global.text());
  }
  value_ = Tensor::empty(box_.size, wide(compute_), device, MemoryKind::parameter);
}

Parameter::~Parameter() = default;

void Parameter::initialize(uint64_t seed) {
  value_changed();
  if (init_.kind != Init::Kind::normal) {
    const double constant = init_.kind == Init::Kind::ones       ? 1.0
                            : init_.kind == Init::Kind::constant ? init_.scale
                                                                 : 0.0;
    fill(value_, constant);
    return;
  }
  if (value_.elements() == 0) return;
  const Random random(seed, "init", name_);
  const int rank = box_.size.rank();
  const int64_t row = rank > 0 ? box_.size[-1] : 1;
  const Shape strides = contiguous_strides(layout_.global);
  parallel_for(value_.stream(), value_.elements() / row, [&](int64_t piece) {
    int64_t rest = piece;
    int64_t global = rank > 0 ? box_.offset[-1] : 0;
    for (int dim = rank - 2; dim >= 0; --dim) {
      global += (box_.offset[dim] + rest % box_.size[dim]) * strides[dim];
      rest /= box_.size[dim];
    }
    auto* to = static_cast<std::byte*>(value_.view().data) +
               piece * row * static_cast<int64_t>(size_of(value_.dtype()));
    draw_row(random, init_, global, row, value_.dtype(), to);
  });
}

const Tensor& Parameter::compute_value() {
  if (compute_ == value_.dtype()) return value_;
  const Tensor& plain = forms().plain();
  if (!compute_value_.defined() || compute_value_.storage() != plain.storage()) {
    compute_value_ = plain.strided(box_.size, contiguous_strides(box_.size), 0);
  }
  return compute_value_;
}

WeightForms& Parameter::forms() {
  if (!forms_) {
    const Bank bank = bank_of(box_.size);
    forms_ =
        std::make_unique<WeightForms>(bank.experts, bank.out, bank.in, compute_, value_.device());
  }
  forms_->refresh(value_, version_);
  return *forms_;
}

void Parameter::place_gradient(Tensor memory) {
  require(
      memory.contiguous() && memory.shape() == value_.shape() && memory.dtype() == value_.dtype(),
      "parameter {} of shape {} in {} got a gradient of shape {} in {}", name_,
      value_.shape().text(), troupe::name(value_.dtype()), memory.shape().text(),
      troupe::name(memory.dtype()));
  gradient_ = memory.detach();
  fresh_ = true;
}

const Tensor& Parameter::begin_accumulate(bool& fresh) {
  if (!gradient_.defined()) {
    gradient_ =
        Tensor::empty(value_.shape(), value_.dtype(), value_.device(), MemoryKind::gradient);
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
  if (!fresh_) return;
  bool fresh = false;
  fill(begin_accumulate(fresh), 0.0);
  fresh_ = false;
}

}  // namespace troupe
