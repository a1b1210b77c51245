// Mixture-of-experts layers as the feed-forward of a block.
#include <algorithm>

#include "core/base/error.h"
#include "models/parts/bytes.h"
#include "models/parts/feed_forward.h"
#include "models/parts/routed_rows.h"
#include "models/parts/swiglu_memory.h"
#include "moe/layer/moe_parameters.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

class MoEFeedForward final : public FeedForward {
 public:
  MoEFeedForward(const MoELayerInputs& inputs, const ModuleContext& context)
      : layer_(inputs, *context.mesh, context.device) {}

  Tensor forward(const Tensor& x_TD, const Tensor& residual_TD, const TokenContext& tokens,
                 const TokenSharding* sharding, RoutingRecord& record,
                 const SparseAssignment* replay) override {
    MoEOutput output = layer_.forward(x_TD, tokens, replay, sharding, residual_TD);
    Tensor y_TD = attach_losses(output.y_TD, output.losses);
    for (LossTerm& term : output.losses) term.value = term.value.detach();
    record = {std::move(output.losses), std::move(output.stats), std::move(output.assignment)};
    return y_TD;
  }
  MoELayer* moe() override { return &layer_; }
  void parameters(std::vector<Parameter*>& out) override {
    layer_.parameters([&out](Parameter& parameter) { out.push_back(&parameter); });
  }

 private:
  MoELayer layer_;
};

RouterMemory memory_of_router(const MoEConfig& moe, const RouterDescriptor& router) {
  const auto terms = std::count_if(moe.balance.begin(), moe.balance.end(),
                                   [](const BalanceTerm& term) { return term.coef != 0; });
  return router_memory(router, moe.router_options, moe.experts, terms);
}

class MoEPart final : public NamedPart<FeedForward> {
 public:
  MoEPart(int64_t dim, MoEConfig config, int64_t vocab)
      : dim_(dim), moe_(std::move(config)), vocab_(vocab) {}
  std::string name() const override { return "moe"; }

  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    return moe_parameters(inputs(name, context), context.parallelism);
  }
  PartMemory memory(const MemoryContext& context) const override;

  std::unique_ptr<FeedForward> make(const std::string& name,
                                    const ModuleContext& context) const override {
    MoELayerInputs of_layer = inputs(name, context.parameters);
    of_layer.seed = context.seed;
    if (moe_.router_of_layer) of_layer.router = router_of_other(name, context);
    auto made = std::make_unique<MoEFeedForward>(of_layer, context);
    if (context.routers) (*context.routers)[name] = made->moe()->router();
    return made;
  }

 private:
  MoELayerInputs inputs(const std::string& name, const ParameterContext& context) const {
    MoELayerInputs of_layer;
    of_layer.config = moe_;
    of_layer.dim = dim_;
    of_layer.name = name;
    of_layer.compute = context.compute;
    of_layer.init_std = context.init_std;
    of_layer.down_init_std = context.residual_std;
    of_layer.vocab = vocab_;
    return of_layer;
  }
  const RouterDescriptor& router() const { return router_named(moe_.router); }
  // With zero 3 the router's values would be there for the other layer alone.
  std::shared_ptr<Router> router_of_other(const std::string& name,
                                          const ModuleContext& context) const {
    const std::string other = "layers." + std::to_string(*moe_.router_of_layer) + ".moe";
    require(context.routers && context.routers->count(other) != 0,
            "{} uses the router of {}, which is not before it on this pipeline stage", name, other);
    require(context.parameters.parallelism.zero < 3, "{} uses the router of {} with zero 3", name,
            other);
    return context.routers->at(other);
  }
  // What a router keeps of its input.
  int64_t router_rows(const RouterMemory& router, const MemoryContext& context) const {
    const int64_t elements = context.rows() / context.tp() * dim_;
    if (router.input_copies == 0) return allocated(elements * bytes_of(context.compute));
    return router.input_copies * allocated(elements * bytes_of(moe_.router_precision));
  }

  int64_t dim_;
  MoEConfig moe_;
  int64_t vocab_;
};

PartMemory MoEPart::memory(const MemoryContext& context) const {
  const int64_t c = bytes_of(context.compute);
  const int64_t ep = context.parallel.shape[Axis::ep];
  const int64_t etp = context.parallel.shape[Axis::etp];
  // The rows of all etp ranks, which each take to a part of an expert.
  const int64_t rows = routed_rows(moe_, context.sequences, context.seq_len) * etp /
                       (context.parallel.shape[Axis::cp] * context.tp());
  PartMemory memory = swiglu_memory(context, moe_.experts / ep, rows, dim_, moe_.ffn_dim / etp);
  memory.backward += allocated(rows * dim_ * c);  // gradient of the experts' output
  // Gate weights, row indices.
  memory.saved += 2 * allocated(rows * bytes_of(wide(context.compute))) + 5 * allocated(rows * 4);
  const RouterMemory kept = memory_of_router(moe_, router());
  if (router().has_parameters) {
    memory.saved += router_rows(kept, context);
    memory.saved += allocated(kept.columns * context.tokens() * bytes_of(moe_.router_precision));
  }
  if (moe_.shared_experts > 0) {
    PartMemory shared = swiglu_memory(context, 1, context.rows(), dim_,
                                      moe_.shared_experts * moe_.shared_ffn_dim / context.tp());
    if (router().has_parameters && kept.input_copies == 0) {
      shared.saved -= context.rows(dim_);  // the same rows as the router's input
    }
    memory.add(shared);
  }
  if (ep * etp > 1) memory.exchanged = allocated(rows * dim_ * c);
  return memory;
}

}  // namespace

FeedForwardPart moe_part(int64_t dim, const MoEConfig& config, int64_t vocab) {
  return std::make_shared<MoEPart>(dim, config, vocab);
}

}  // namespace troupe
