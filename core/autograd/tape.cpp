#include "core/autograd/tape.h"

#include <algorithm>
#include <unordered_map>

#include "core/base/error.h"
#include "core/kernels/elementwise.h"

namespace troupe {
namespace {

struct GradMode {
  bool enabled = true;
  // Set during the first forward of a recomputed block: the uses that it announces.
  std::vector<UseTracker*>* recomputed_uses = nullptr;
};

GradMode& grad_mode() {
  thread_local GradMode mode;
  return mode;
}

// Another mode up to the end of the scope.
class GradModeScope {
 public:
  explicit GradModeScope(const GradMode& mode) : before_(grad_mode()) { grad_mode() = mode; }
  ~GradModeScope() { grad_mode() = before_; }
  GradModeScope(const GradModeScope&) = delete;
  GradModeScope& operator=(const GradModeScope&) = delete;

 private:
  GradMode before_;
};

// Nodes reachable from the roots, deepest first; ties in the order of discovery, so that the order
// of sums and of collectives is the same on every rank.
std::vector<Node*> backward_order(std::span<const Tensor> roots) {
  std::unordered_map<Node*, size_t> found;
  std::vector<Node*> order;
  std::vector<Node*> stack;
  auto discover = [&](Node* node) {
    if (node == nullptr || !found.emplace(node, order.size()).second) return;
    require(!node->consumed, "backward through {} a second time: its tape was freed by the first",
            node->op);
    order.push_back(node);
    stack.push_back(node);
  };
  for (const Tensor& root : roots) {
    discover(root.node().get());
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      for (const auto& input : node->inputs) discover(input.get());
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [](Node* a, Node* b) { return a->depth > b->depth; });
  return order;
}

class GradientMap {
 public:
  void add(Node* node, Tensor gradient) {
    require(gradient.shape() == node->shape && gradient.dtype() == node->dtype,
            "the gradient of {} has shape {} and type {}, its value has {} and {}", node->op,
            gradient.shape().text(), name(gradient.dtype()), node->shape.text(), name(node->dtype));
    Entry& entry = entries_[node];
    if (!entry.value.defined()) {
      entry.value = std::move(gradient);
      return;
    }
    // The first gradient may be shared with others (an identity passes it on): copied once.
    if (!entry.owned) {
      Tensor sum = Tensor::empty(node->shape, node->dtype, gradient.device());
      kernels::add(sum.stream(), entry.value.view(), gradient.view(), sum.view());
      entry.value = std::move(sum);
      entry.owned = true;
    } else {
      kernels::add(entry.value.stream(), entry.value.view(), gradient.view(), entry.value.view());
    }
  }
  Tensor take(Node* node) {
    const auto found = entries_.find(node);
    if (found == entries_.end()) return {};
    Tensor out = std::move(found->second.value);
    entries_.erase(found);
    return out;
  }

 private:
  struct Entry {
    Tensor value;
    bool owned = false;
  };
  std::unordered_map<Node*, Entry> entries_;
};

class NodeInputs : public InputGradients {
 public:
  NodeInputs(Node& node, GradientMap& gradients) : node_(node), gradients_(gradients) {}
  bool needs(int i) const override { return node_.inputs.at(static_cast<size_t>(i)) != nullptr; }
  void add(int i, Tensor gradient) override {
    if (needs(i)) gradients_.add(node_.inputs[static_cast<size_t>(i)].get(), gradient.detach());
  }

 private:
  Node& node_;
  GradientMap& gradients_;
};

Tensor seed_of(const Tensor& root, const Tensor& seed) {
  if (seed.defined()) {
    require(seed.device() == root.device(),
            "backward from a value of shape {}: its seed gradient is on another device",
            root.shape().text());
    return seed.detach();
  }
  require(root.elements() == 1, "backward from a value of shape {} needs a seed gradient",
          root.shape().text());
  return Tensor::full(root.shape(), root.dtype(), 1.0, root.device());
}

void run_node(Node* node, Tensor gradient, GradientMap& gradients, Weights weights,
              WeightWork& later) {
  if (node->leaf) {
    node->leaf(std::move(gradient));
    return;
  }
  if (node->input_gradient) {
    const Operator scope(node->op, gradient.stream(), TracePart::backward);
    NodeInputs inputs(*node, gradients);
    node->input_gradient(gradient, inputs);
  }
  if (node->weight_gradient) {
    if (weights == Weights::now) {
      const Operator scope(node->op, gradient.stream(), TracePart::weight_gradient);
      node->weight_gradient(gradient);
    } else {
      later.add([run = std::move(node->weight_gradient), gradient, op = node->op] {
        const Operator scope(op, gradient.stream(), TracePart::weight_gradient);
        run(gradient);
      });
    }
  }
  node->consumed = true;
  node->input_gradient = {};
  node->weight_gradient = {};
}

}  // namespace

Node::~Node() {
  std::vector<std::shared_ptr<Node>> chain = std::move(inputs);
  while (!chain.empty()) {
    std::shared_ptr<Node> node = std::move(chain.back());
    chain.pop_back();
    if (node && node.use_count() == 1) {
      for (auto& input : node->inputs) chain.push_back(std::move(input));
      node->inputs.clear();
    }
  }
}

bool grad_enabled() { return grad_mode().enabled; }

NoGrad::NoGrad() : previous_(grad_mode().enabled) { grad_mode().enabled = false; }
NoGrad::~NoGrad() { grad_mode().enabled = previous_; }

Tensor record(const Operator& op, Tensor out, std::span<const Tensor> inputs,
              InputGradient input_gradient, WeightGradient weight_gradient) {
  const bool wanted =
      weight_gradient || std::any_of(inputs.begin(), inputs.end(),
                                     [](const Tensor& input) { return input.needs_gradient(); });
  out.set_node(nullptr);
  if (!grad_enabled() || !wanted) return out;
  auto node = std::make_shared<Node>();
  node->op = op;
  node->shape = out.shape();
  node->dtype = out.dtype();
  node->depth = 1;
  for (const Tensor& input : inputs) {
    node->inputs.push_back(input.node());
    if (input.node()) node->depth = std::max(node->depth, input.node()->depth + 1);
  }
  node->input_gradient = std::move(input_gradient);
  node->weight_gradient = std::move(weight_gradient);
  out.set_node(std::move(node));
  return out;
}

Tensor record(const Operator& op, Tensor out, std::initializer_list<Tensor> inputs,
              InputGradient input_gradient, WeightGradient weight_gradient) {
  return record(op, std::move(out), std::span<const Tensor>(inputs.begin(), inputs.size()),
                std::move(input_gradient), std::move(weight_gradient));
}

Tensor leaf(const Tensor& value, std::function<void(Tensor)> receive) {
  Tensor out = value.detach();
  auto node = std::make_shared<Node>();
  node->op = "leaf";
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->leaf = std::move(receive);
  out.set_node(std::move(node));
  return out;
}

Tensor on_backward(const char* op, const Tensor& value, std::function<void()> hook) {
  return record(Operator(op, value.stream()), value.detach(), {value},
                [hook = std::move(hook)](const Tensor& gradient, InputGradients& inputs) {
                  hook();
                  inputs.add(0, gradient);
                });
}

Saved::Saved(const Tensor& value)
    : value_(value.detach()), version_(value.defined() ? value.storage()->version() : 0) {}

const Tensor& Saved::get(const char* op) const {
  require(!value_.defined() || value_.storage()->version() == version_,
          "a value that {} needs for its gradient was written in place after it was used: copy it "
          "first",
          op);
  return value_;
}

void check_in_place(const char* op, const Tensor& target) {
  require(!(grad_enabled() && target.needs_gradient()),
          "{} cannot write in place into a value that carries a gradient: use the out-of-place "
          "form, or detach it",
          op);
  target.storage()->written_in_place();
}

void WeightWork::run() {
  for (auto& work : pending_) {
    work();
    work = {};
  }
  pending_.clear();
}

WeightWork backward(std::span<const Tensor> roots, std::span<const Tensor> seeds, Weights weights) {
  require(seeds.empty() || seeds.size() == roots.size(), "{} seed gradients for {} roots",
          seeds.size(), roots.size());
  WeightWork later;
  GradientMap gradients;
  const std::vector<Node*> order = backward_order(roots);
  for (size_t i = 0; i < roots.size(); ++i) {
    if (roots[i].node())
      gradients.add(roots[i].node().get(), seed_of(roots[i], seeds.empty() ? Tensor() : seeds[i]));
  }
  NoGrad no_grad;
  for (Node* node : order) {
    Tensor gradient = gradients.take(node);
    require(gradient.defined(), "no gradient reached {}: one of the ops above it returned none",
            node->op);
    run_node(node, std::move(gradient), gradients, weights, later);
  }
  return later;
}

void backward(const Tensor& root) { backward(std::span<const Tensor>(&root, 1), {}); }

void note_use(UseTracker& tracker) {
  GradMode& mode = grad_mode();
  if (mode.enabled) {
    tracker.use_pending();
  } else if (mode.recomputed_uses != nullptr) {
    tracker.use_pending();
    mode.recomputed_uses->push_back(&tracker);
  }
}

Tensor recompute(const std::function<Tensor(std::span<const Tensor>)>& f,
                 std::span<const Tensor> inputs) {
  if (!grad_enabled()) return f(inputs);
  auto uses = std::make_shared<std::vector<UseTracker*>>();
  Tensor out;
  {
    const GradModeScope first_forward({.enabled = false, .recomputed_uses = uses.get()});
    out = f(inputs);
  }
  std::vector<Tensor> saved(inputs.begin(), inputs.end());
  auto replay = [f, saved, uses](const Tensor& output_gradient, InputGradients& input_gradients) {
    std::vector<Tensor> received(saved.size());
    std::vector<Tensor> again(saved.size());
    for (size_t i = 0; i < saved.size(); ++i) {
      again[i] = saved[i].detach();
      if (input_gradients.needs(static_cast<int>(i))) {
        again[i] =
            leaf(saved[i], [&received, i](Tensor gradient) { received[i] = std::move(gradient); });
      }
    }
    Tensor value;
    {
      const GradModeScope recording(
          {.enabled = true, .recomputed_uses = grad_mode().recomputed_uses});
      value = f(again);
    }
    for (UseTracker* use : *uses) use->use_dropped();
    backward(std::span<const Tensor>(&value, 1), std::span<const Tensor>(&output_gradient, 1));
    for (size_t i = 0; i < saved.size(); ++i) {
      if (received[i].defined()) input_gradients.add(static_cast<int>(i), received[i]);
    }
  };
  // A block whose inputs need no gradient still has parameters: its weight half does the replay.
  const bool input_needs =
      std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.needs_gradient(); });
  const Operator op("recompute", out.stream());
  if (input_needs) return record(op, std::move(out), inputs, replay);
  class NoInputs : public InputGradients {
    bool needs(int) const override { return false; }
    void add(int, Tensor) override {}
  };
  return record(
      op, std::move(out), inputs, [](const Tensor&, InputGradients&) {},
      [replay](const Tensor& gradient) {
        NoInputs none;
        replay(gradient, none);
      });
}

}  // namespace troupe
