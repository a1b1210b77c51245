// Eager reverse-mode differentiation by closures. An op computes its result, then records one node
// whose closures turn the gradient of its output into gradients of its inputs.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/device/operator.h"
#include "core/tensor/tensor.h"

namespace troupe {

// Receives the gradients that a closure computes for the inputs of its node.
class InputGradients {
 public:
  virtual ~InputGradients() = default;
  // Does input i (in the order given to record) need a gradient?
  virtual bool needs(int i) const = 0;
  // Adds into the gradient of input i; shape and dtype must be those of the input.
  virtual void add(int i, Tensor gradient) = 0;
};

// Gradient of the output in, gradients of the inputs out.
using InputGradient = std::function<void(const Tensor& output_gradient, InputGradients& inputs)>;
// Gradient of the output in; adds into the main gradients of the parameters that the op read.
using WeightGradient = std::function<void(const Tensor& output_gradient)>;

struct Node {
  const char* op = "";
  Shape shape;  // of the output
  DType dtype = DType::f32;
  // 1 + the deepest input: backward runs deepest first, ties in the order of discovery.
  int64_t depth = 0;
  std::vector<std::shared_ptr<Node>> inputs;  // null where no gradient is needed
  InputGradient input_gradient;               // empty for a leaf
  WeightGradient weight_gradient;             // optional; may be run later than input_gradient
  std::function<void(Tensor gradient)> leaf;  // for a leaf: receives its complete gradient
  bool consumed = false;                      // backward has run through it and freed its closures
  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  // iterative: a long chain must not overflow the stack
};

// --- grad mode (thread local: the one exception to "no globals") ---
bool grad_enabled();
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

// Gives `out` a tape node and returns it, if gradients are enabled and an input needs one or
// weight_gradient is given; else returns `out` without a tape. op: the scope in which `out` was
// computed; its gradients are scopes of the same name.
Tensor record(const Operator& op, Tensor out, std::span<const Tensor> inputs,
              InputGradient input_gradient, WeightGradient weight_gradient = {});
Tensor record(const Operator& op, Tensor out, std::initializer_list<Tensor> inputs,
              InputGradient input_gradient, WeightGradient weight_gradient = {});

// A leaf that asks for a gradient: `receive` gets it, complete, once per backward.
Tensor leaf(const Tensor& value, std::function<void(Tensor gradient)> receive);

// The same value; backward calls `hook` when the gradient of what is made from it is complete,
// before anything below it runs. Without a tape: the value.
Tensor on_backward(const char* op, const Tensor& value, std::function<void()> hook);

// A value kept for backward. Unwrapping it throws when it was written in place since.
class Saved {
 public:
  explicit Saved(const Tensor& value);  // keeps no tape
  const Tensor& get(const char* op) const;

 private:
  Tensor value_;
  uint64_t version_;
};

// Throws unless `target` may be written in place: nothing on the tape may need its old value.
void check_in_place(const char* op, const Tensor& target);

// Weight gradients put off by backward(..., defer), in the order in which they were met.
class WeightWork {
 public:
  void run();  // runs and frees them; afterwards empty
  bool empty() const { return pending_.empty(); }
  void add(std::function<void()> work) { pending_.push_back(std::move(work)); }

 private:
  std::vector<std::function<void()>> pending_;
};

enum class Weights { now, defer };

// Runs the tape backward from several roots at once. seeds[i] is the gradient of roots[i]; an
// undefined seed, or no seeds at all, means 1 and needs a root of one element; a seed on another
// device than its root throws. The tape is freed as backward passes; a second backward through it
// throws. With Weights::defer the weight gradients are returned, to be run later, else the result
// is empty.
WeightWork backward(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                    Weights weights = Weights::now);
void backward(const Tensor& root);

// Activation checkpointing: runs f(inputs) without a tape, and again with one when backward comes
// through. f must be a pure function of its inputs and of parameters (same random keys, same
// routing both times).
Tensor recompute(const std::function<Tensor(std::span<const Tensor>)>& f,
                 std::span<const Tensor> inputs);

// Hooks with which Parameter counts its uses across recompute (see core/parameter/parameter.h).
class UseTracker {
 public:
  virtual ~UseTracker() = default;
  virtual void use_pending() = 0;  // a use whose weight gradient will come later
  // The use announced in the first forward of a recomputed block is over: the replay announces its
  // own.
  virtual void use_dropped() = 0;
};
// Called by a Parameter when an op reads it: announces a use if its weight gradient will come, that
// is if gradients are enabled or if this is the first forward of a recomputed block.
void note_use(UseTracker& tracker);

}  // namespace troupe
