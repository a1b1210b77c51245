// A parameter: logical name, layout, main value, main gradient, and the compute-side forms of its
// value.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/autograd/tape.h"
#include "core/parameter/flat_range.h"
#include "core/parameter/layout.h"
#include "core/tensor/tensor.h"

namespace troupe {

class Random;
class PackedWeights;  // core/kernels/packed_weights.h

// How the initial value is drawn: a pure function of (seed, name, global index).
struct Init {
  enum class Kind { zeros, ones, normal, constant } kind = Kind::zeros;
  double scale = 0.0;  // standard deviation, or the constant
};

class Parameter final : public UseTracker {
 public:
  // name: logical and global ("layers.3.moe.experts.gate_up"); slice: this rank's part of
  // layout.global; compute: type of products and activations, while the main value and gradient use
  // wide(compute); decay: whether weight decay applies.
  Parameter(std::string name, Layout layout, LocalSlice slice, DType compute, Init init, bool decay,
            const std::shared_ptr<Device>& device);
  ~Parameter() override;
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  const Layout& layout() const { return layout_; }
  const LocalSlice& slice() const { return slice_; }
  const Init& init() const { return init_; }
  // Does weight decay apply? Not to norms, biases and router biases.
  bool decays() const { return decay_; }
  DType compute() const { return compute_; }

  // Draws the local part of the initial value. Where the value has no memory (parallel.zero 3) only
  // the seed is remembered, and whoever gives it memory calls draw().
  void initialize(uint64_t seed);
  void draw();

  // The main value (f32, or f64 under f64), local shape. After writing to it call value_changed().
  // Where it is spread over ranks its memory is there only while somebody keeps it
  // (core/parameter/parameter_gatherer.h); shape, type and device can be asked for always.
  const Tensor& value() const { return value_; }
  void value_changed() { ++version_; }
  uint64_t version() const { return version_; }
  // The value in the compute type, without a tape. Refreshed when the version changed.
  const Tensor& compute_value();
  // The packed forms of a matrix parameter, refreshed when the version changed.
  PackedWeights& forms();
  // The packed forms as they are, not refreshed; null if no op has asked for them yet.
  PackedWeights* existing_forms() { return forms_.get(); }
  // Gives the memory of all forms back; they are made again when asked for.
  void drop_forms();

  // The main gradient: same shape and type as value(). Undefined contents until the first
  // accumulation.
  const Tensor& gradient() const { return gradient_; }
  // Puts the gradient into memory owned elsewhere (a bucket); contents are not kept.
  void place_gradient(Tensor memory);
  // Gives its memory back; the next accumulation asks for new one.
  void release_gradient();
  // Called when an accumulation finds no memory: the callee may place it. Else it is allocated.
  void on_gradient_wanted(std::function<void(Parameter&)> source) { source_ = std::move(source); }

  // The elements that this rank updates and keeps moments of: all, unless told otherwise (before
  // an optimizer is made).
  const FlatRange& owned() const { return owned_; }
  void own(const FlatRange& range);
  // The main value of the owned elements, [owned().count]: a part of value(), or memory of its own.
  // In the second case this memory is the value, and value() a copy that is there while it is used.
  const Tensor& owned_value() const { return owned_value_; }
  bool keeps_owned_value_only() const { return owned_value_placed_; }
  // value: the main value from now on, contiguous, in memory that may be given back; owned: that
  // of the owned elements. Contents are not copied.
  void place_value(Tensor value, Tensor owned);
  // The summed gradient of the owned elements, [owned().count]: those of gradient(), or memory
  // that was placed for it alone and stays when gradient() is released.
  const Tensor& owned_gradient() const { return owned_gradient_; }
  void place_owned_gradient(Tensor memory);
  // An op that reads the parameter calls use() in forward. Its weight gradient then calls either
  //   const Tensor& g = begin_accumulate(fresh);   // fresh: overwrite g instead of adding to it
  //   ... write g ...
  //   end_accumulate();
  // or accumulate(gradient), which adds a tensor of the local shape (any floating type).
  void use() { note_use(*this); }
  const Tensor& begin_accumulate(bool& fresh);
  void end_accumulate();
  void accumulate(const Tensor& gradient);
  // A leaf for ops without a fused weight gradient: its gradient is accumulated here.
  Tensor as_tensor();

  // Marks the gradient as empty, so that the next accumulation overwrites it.
  void zero_gradient() { fresh_ = true; }
  bool gradient_is_fresh() const { return fresh_; }
  // Writes zeros if nothing was accumulated in this step. Not where the owned elements have memory
  // of their own: whoever placed it fills it.
  void finish_gradient();

  // Called when all uses announced so far have given their weight gradient.
  void on_gradient_ready(std::function<void(Parameter&)> sink) { sink_ = std::move(sink); }

  void use_pending() override { ++pending_; }
  void use_dropped() override { --pending_; }

 private:
  void draw_part(const Random& random, const LocalPart& part, std::byte* value) const;
  void show_owned_gradient();
  void show_owned_value();

  std::string name_;
  Layout layout_;
  LocalSlice slice_;
  DType compute_;
  Init init_;
  bool decay_;
  uint64_t seed_ = 0;  // of the initial value
  Tensor value_;
  Tensor gradient_;
  FlatRange owned_;
  Tensor owned_gradient_;
  bool owned_placed_ = false;  // owned_gradient_ is not a part of gradient_
  Tensor owned_value_;
  bool owned_value_placed_ = false;  // owned_value_ is not a part of value_
  Tensor compute_value_;
  uint64_t version_ = 1;
  std::unique_ptr<PackedWeights> forms_;
  bool fresh_ = true;
  int pending_ = 0;
  std::function<void(Parameter&)> sink_;
  std::function<void(Parameter&)> source_;
};

}  // namespace troupe
