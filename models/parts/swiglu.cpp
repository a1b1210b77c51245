// The dense SwiGLU network.
#include "core/ops/swiglu_experts.h"
#include "models/parts/feed_forward.h"
#include "models/parts/swiglu_memory.h"
#include "parallel/tp/region.h"

namespace troupe {
namespace {

class Swiglu final : public FeedForward {
 public:
  Swiglu(const std::vector<ParameterSpec>& specs, const std::string& name,
         const ModuleContext& context)
      : name_(name),
        region_(*context.mesh),
        parameters_(specs, context),
        gate_up_(parameters_.at(name + ".gate_up.weight")),
        down_(parameters_.at(name + ".down.weight")) {}

  Tensor forward(const Tensor& x_TD, const Tensor& residual_TD, const TokenContext& tokens,
                 const TokenSharding* sharding, RoutingRecord& record,
                 const SparseAssignment* replay) override {
    (void)residual_TD, (void)tokens, (void)sharding, (void)record, (void)replay;
    const Tensor rows = region_.enter(x_TD, name_ + " in");
    return region_.leave(swiglu_feed_forward(rows, gate_up_, down_), name_ + " out");
  }
  void parameters(std::vector<Parameter*>& out) override { parameters_.append_to(out); }

 private:
  std::string name_;
  TensorRegion region_;
  ParameterSet parameters_;
  Parameter& gate_up_;
  Parameter& down_;
};

class SwigluPart final : public NamedPart<FeedForward> {
 public:
  SwigluPart(int64_t dim, int64_t ffn_dim) : dim_(dim), ffn_dim_(ffn_dim) {}
  std::string name() const override { return "feed_forward"; }
  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    return {cut_parameter(context, name + ".gate_up.weight", {2 * ffn_dim_, dim_}, 0,
                          {Init::Kind::normal, context.init_std}, Cut::block, {ffn_dim_, ffn_dim_}),
            cut_parameter(context, name + ".down.weight", {dim_, ffn_dim_}, 1,
                          {Init::Kind::normal, context.residual_std})};
  }
  PartMemory memory(const MemoryContext& context) const override {
    return swiglu_memory(context, 1, context.rows(), dim_, ffn_dim_ / context.tp());
  }
  std::unique_ptr<FeedForward> make(const std::string& name,
                                    const ModuleContext& context) const override {
    return std::make_unique<Swiglu>(parameters(name, context.parameters), name, context);
  }

 private:
  int64_t dim_;
  int64_t ffn_dim_;
};

}  // namespace

FeedForwardPart swiglu_part(int64_t dim, int64_t ffn_dim) {
  return std::make_shared<SwigluPart>(dim, ffn_dim);
}

}  // namespace troupe
