// The dense network of GPT-2: two matrices with biases and a GELU between them.
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/linear.h"
#include "models/parts/feed_forward.h"
#include "parallel/tp/region.h"

namespace troupe {
namespace {

class Gelu final : public FeedForward {
 public:
  Gelu(const std::vector<ParameterSpec>& specs, const std::string& name,
       const ModuleContext& context)
      : name_(name),
        region_(*context.mesh),
        parameters_(specs, context),
        up_(parameters_.at(name + ".up.weight")),
        up_bias_(parameters_.at(name + ".up.bias")),
        down_(parameters_.at(name + ".down.weight")),
        down_bias_(parameters_.at(name + ".down.bias")) {}

  // With tp each rank gives a part of the sum, to which the bias is added once.
  Tensor forward(const Tensor& x_TD, const Tensor& residual_TD, const TokenContext& tokens,
                 const TokenSharding* sharding, RoutingRecord& record,
                 const SparseAssignment* replay) override {
    (void)residual_TD, (void)tokens, (void)sharding, (void)record, (void)replay;
    const Tensor hidden = gelu_tanh(linear(region_.enter(x_TD, name_ + " in"), up_, &up_bias_));
    if (region_.size() == 1) return linear(hidden, down_, &down_bias_);
    return add(region_.leave(linear(hidden, down_), name_ + " out"), down_bias_.as_tensor());
  }
  void parameters(std::vector<Parameter*>& out) override { parameters_.append_to(out); }

 private:
  std::string name_;
  TensorRegion region_;
  ParameterSet parameters_;
  Parameter& up_;
  Parameter& up_bias_;
  Parameter& down_;
  Parameter& down_bias_;
};

class GeluPart final : public NamedPart<FeedForward> {
 public:
  GeluPart(int64_t dim, int64_t ffn_dim) : dim_(dim), ffn_dim_(ffn_dim) {}
  std::string name() const override { return "feed_forward"; }
  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    const Init zeros{Init::Kind::zeros};
    return {cut_parameter(context, name + ".up.weight", {ffn_dim_, dim_}, 0,
                          {Init::Kind::normal, context.init_std}),
            cut_parameter(context, name + ".up.bias", {ffn_dim_}, 0, zeros),
            cut_parameter(context, name + ".down.weight", {dim_, ffn_dim_}, 1,
                          {Init::Kind::normal, context.residual_std}),
            replicated_parameter(context, name + ".down.bias", {dim_}, zeros, TpGradient::stream)};
  }
  // It keeps its input and the hidden rows before and after the GELU; backward has the gradients of
  // both and of the input, and the operands of a weight gradient.
  PartMemory memory(const MemoryContext& context) const override {
    const int64_t input = context.rows(dim_);
    const int64_t hidden = context.rows(ffn_dim_ / context.tp());
    PartMemory memory;
    memory.saved = input + 2 * hidden;
    memory.deferred = input + hidden;
    memory.backward = 2 * input + 3 * hidden;
    return memory;
  }
  std::unique_ptr<FeedForward> make(const std::string& name,
                                    const ModuleContext& context) const override {
    return std::make_unique<Gelu>(parameters(name, context.parameters), name, context);
  }

 private:
  int64_t dim_;
  int64_t ffn_dim_;
};

}  // namespace

FeedForwardPart gelu_part(int64_t dim, int64_t ffn_dim) {
  return std::make_shared<GeluPart>(dim, ffn_dim);
}

}  // namespace troupe
