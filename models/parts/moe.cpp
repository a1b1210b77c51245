// Mixture-of-experts layers as the feed-forward of a block.
#include <algorithm>

#include "core/base/error.h"
#include "models/parts/bytes.h"
#include "models/parts/feed_forward.h"
#include "models/parts/routed_rows.h"
#include "models/parts/swiglu_memory.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

class MoEFeedForward final : public FeedForward {
 public:
  MoEFeedForward(const MoELayerInputs& inputs, const ModuleContext& context)
      : layer_(inputs, *context.mesh, context.device) {}

  Tensor forward(const Tensor& x_TD, const TokenContext& tokens, const TokenSharding* sharding,
                 RoutingRecord& record, const Assignment* replay) override {
    MoEOutput output = layer_.forward(x_TD, tokens, replay, sharding);
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

// The experts that read a token, on average where experts choose.
double active_experts(const MoEConfig& moe, const RouterDescriptor& router) {
  const int64_t choices = router.choices(moe.router_options);
  return choices > 0 ? static_cast<double>(choices) : moe.capacity_factor.value_or(1.0);
}

class MoEPart final : public NamedPart<FeedForward> {
 public:
  MoEPart(int64_t dim, MoEConfig config, int64_t vocab)
      : dim_(dim), moe_(std::move(config)), vocab_(vocab) {}
  std::string name() const override { return "moe"; }

  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override;
  PartMemory memory(const MemoryContext& context) const override;

  std::unique_ptr<FeedForward> make(const std::string& name,
                                    const ModuleContext& context) const override {
    MoELayerInputs inputs;
    inputs.config = moe_;
    inputs.dim = dim_;
    inputs.name = name;
    inputs.compute = context.parameters.compute;
    inputs.init_std = context.parameters.init_std;
    inputs.down_init_std = context.parameters.residual_std;
    inputs.seed = context.seed;
    inputs.vocab = vocab_;
    return std::make_unique<MoEFeedForward>(inputs, context);
  }

 private:
  const RouterDescriptor& router() const {
    const RouterDescriptor* found = find_router(moe_.router);
    require(found != nullptr, "no router named {}", moe_.router);
    return *found;
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

// As routers and experts make them.
std::vector<ParameterSpec> MoEPart::parameters(const std::string& name,
                                               const ParameterContext& context) const {
  std::vector<ParameterSpec> list;
  const Init normal{Init::Kind::normal, context.init_std};
  const Init residual{Init::Kind::normal, context.residual_std};
  for (const RouterMatrix& matrix : router_matrices(router(), moe_.router_options, moe_.experts)) {
    list.push_back(replicated_parameter(context, name + ".router." + matrix.suffix,
                                        {matrix.rows, dim_}, normal, TpGradient::partial));
    list.back().compute = moe_.router_precision;
    list.back().role = ParameterRole::router;
  }
  const double active = active_experts(moe_, router()) / static_cast<double>(moe_.experts);
  const auto bank = [&](const char* part, const Shape& shape, int cut_dim, Init init) {
    Layout layout = Layout::replicated(shape, MeshKind::experts, {Axis::edp})
                        .shard(0, Axis::ep)
                        .shard(cut_dim, Axis::etp);
    list.push_back({name + ".experts." + part, std::move(layout), context.compute, init, true, true,
                    ParameterRole::expert, active});
  };
  bank("gate_up", {moe_.experts, 2 * moe_.ffn_dim, dim_}, 1, normal);
  list.back().layout.dims[1].sections = {moe_.ffn_dim, moe_.ffn_dim};
  bank("down", {moe_.experts, dim_, moe_.ffn_dim}, 2, residual);
  if (moe_.shared_experts == 0) return list;
  const int64_t width = moe_.shared_experts * moe_.shared_ffn_dim;
  list.push_back(cut_parameter(context, name + ".shared.gate_up", {2 * width, dim_}, 0, normal,
                               Cut::block, {width, width}));
  list.push_back(cut_parameter(context, name + ".shared.down", {dim_, width}, 1, residual));
  return list;
}

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
