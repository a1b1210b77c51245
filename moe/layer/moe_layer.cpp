#include "moe/layer/moe_layer.h"

#include <algorithm>
#include <numeric>
#include <variant>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/arithmetic.h"
#include "core/ops/rows.h"
#include "core/ops/view.h"
#include "moe/dispatch/exchange.h"
#include "moe/dispatch/row_order.h"
#include "moe/experts/expert_kind.h"
#include "moe/layer/capacity_drops.h"
#include "moe/layer/layer_stats.h"
#include "moe/layer/moe_parameters.h"
#include "moe/layer/previous_batch.h"
#include "moe/layer/row_mover.h"
#include "moe/routers/table.h"
#include "parallel/collectives/parts.h"

namespace troupe {
namespace {

// One forward of a layer.
struct Call {
  const Tensor& x_TD;    // stream rows
  const Tensor& own_TD;  // those of this rank's tokens
  const TokenContext& context;
  const TokenSharding* sharding;  // null = this rank holds the whole micro-batch
  bool sliced;                    // the stream rows are more than own ones
  const SparseAssignment* replay;
  std::optional<double> factor;  // of the capacity rule
  Groups groups;                 // given a factor
};

}  // namespace

struct MoELayer::Impl {
  Impl(const MoELayerInputs& given, const Mesh& on, const std::shared_ptr<Device>& device)
      : inputs(given),
        mesh(on),
        token_group(mesh.group(Axis::cp, Axis::tp)),
        descriptor(router_named(given.config.router)),
        mover(make_row_mover(given, mesh)) {
    const MoEConfig& config = inputs.config;
    require(config.overlap >= 1, "overlap {}: 1 or more", config.overlap);
    const ParameterMaker maker{&mesh, device, given.seed};
    router = given.router
                 ? given.router
                 : make_router(descriptor, config.router_options, router_inputs(given), maker);
    const ParameterContext context = parameter_context(given, mesh.parallelism());
    const ExpertInputs routed = expert_inputs(given);
    const ExpertKind& kind = expert_kind(routed);
    experts = kind.make(routed, context, maker);
    if (config.shared_experts > 0)
      shared = kind.make_shared(shared_expert_inputs(given), context, maker);
    const bool reads_previous =
        std::any_of(config.balance.begin(), config.balance.end(), [](const BalanceTerm& term) {
          return term.scope == BalanceScope::global_batch && term.type != "z";
        });
    if (reads_previous) previous = std::make_unique<PreviousBatch>(config.experts, device);
  }

  bool owns_router() const { return inputs.router == nullptr; }

  // none: nothing is dropped (and experts that choose have no capacity to go by).
  std::optional<double> factor(const TokenContext& context) const {
    if (context.dropless && !router->limits_itself()) return std::nullopt;
    return context.training ? inputs.config.capacity_factor : inputs.config.capacity_factor_eval;
  }

  // What the router decides. residual: own rows.
  Routing route(const Call& call, const Tensor& residual_TD) {
    const TokenContext& context = call.context;
    PhaseScope scope(context.clock, Phase::dispatch);
    RouterInput input{call.own_TD, context, &call.groups, call.factor, {}, {}, residual_TD, {}};
    input.outputs = [this, &call](const SparseAssignment& asked) {
      return expert_outputs(call.own_TD, asked, call.context.clock);
    };
    if (call.sharding != nullptr) {
      input.held = call.sharding->own_rows();
      input.gather = [this, &call](const Tensor& rows) { return whole(rows, *call.sharding); };
    }
    Routing routing = router->route(input, call.replay);
    if (observer && call.replay == nullptr) observer(routing);
    return routing;
  }

  // Each pair as a token of its own that goes to one expert with weight 1.
  Tensor expert_outputs(const Tensor& x_TD, const SparseAssignment& asked, PhaseClock* clock) {
    require(asked.tokens == x_TD.dim(0), "outputs for {} tokens asked of {} rows", asked.tokens,
            x_TD.dim(0));
    const std::vector<int32_t> token = asked.pair_tokens();
    std::vector<int32_t> pair(token.size());
    std::iota(pair.begin(), pair.end(), 0);
    const std::vector<int32_t> begin(asked.token_begin.begin(), asked.token_begin.end());
    SparseAssignment single = empty_assignment(asked.experts);
    for (const int32_t& expert : asked.expert) single.append(std::span(&expert, 1));
    single.weight =
        Tensor::full({asked.pairs()}, inputs.config.router_precision, 1.0, x_TD.device());
    const Tensor rows =
        spread_rows(x_TD, index_tensor(token, x_TD.device()),
                    {index_tensor(begin, x_TD.device()), index_tensor(pair, x_TD.device())});
    return mover->through(rows, single, *experts, clock).y_TD;
  }

  // One overload for each kind of decision: what the layer gives where `routing` holds this one.
  MoEOutput carry_out(SparseAssignment& assignment, const Routing& routing, const Call& call) {
    PhaseClock* clock = call.context.clock;
    drop(assignment, routing, call);
    RowMover::Result done =
        call.sharding == nullptr
            ? mover->through(call.own_TD, assignment, *experts, clock)
            : mover->through(call.own_TD, own_assignment(assignment, *call.sharding), *experts,
                             clock);
    MoEOutput out;
    out.y_TD = to_stream(std::move(done.y_TD), call);
    PhaseScope scope(clock, Phase::dispatch);
    if (call.context.training && !inputs.config.balance.empty()) {
      const BatchLoad before = previous ? previous->load() : BatchLoad{};
      out.losses = balance_losses(balance_terms(),
                                  {routing, assignment, call.context, before, router->choices(),
                                   descriptor.balance_by_first_choice, exact});
    }
    out.stats = count_routing(routing, assignment, call.context, no_stats(inputs.config));
    out.stats.rows = done.rows;
    out.assignment = assignment;
    out.assignment.weight = {};
    return out;
  }

  void drop(SparseAssignment& assignment, const Routing& routing, const Call& call) const {
    PhaseScope scope(call.context.clock, Phase::dispatch);
    if (call.replay != nullptr) {
      assignment.kept = call.replay->kept;
    } else if (call.factor && !router->limits_itself()) {
      drop_over_capacity(inputs.config, *router, call.groups, *call.factor, routing, assignment);
    }
    const Tensor outputs[] = {assignment.weight, routing.probabilities_TE, routing.load_TE};
    charge_backward(outputs, std::span<const Tensor>(&call.own_TD, 1), call.context.clock,
                    Phase::dispatch);
  }

  // What the routed experts gave for own rows as rows of the stream, with what the shared ones
  // give.
  Tensor to_stream(Tensor y_TD, const Call& call) {
    if (call.sliced) {
      y_TD = all_parts(y_TD, call.sharding->own_counts_over_tp(), mesh.group(Axis::tp),
                       inputs.name + " all rows");
    }
    return shared ? add(y_TD, shared->forward(call.x_TD)) : y_TD;
  }

  // Own rows of every rank as rows of the micro-batch, in the order of its tokens.
  Tensor whole(const Tensor& rows, const TokenSharding& sharding) const {
    const std::string site = inputs.name + " router rows";
    // Every rank takes the gradient of its own rows: all of them have computed the same.
    const Tensor gathered = summed_under_cp()
                                ? all_gather_parts(rows, sharding.own_counts(), token_group, site)
                                : all_parts(rows, sharding.own_counts(), token_group, site);
    const auto& place = sharding.place_of_token();
    return gather_rows(gathered, Tensor::from(std::span<const int32_t>(place),
                                              {static_cast<int64_t>(place.size())}, rows.device()));
  }

  // What tests plant (parallel/mesh/planted_bug.h).
  bool planted(PlantedBug bug) const { return mesh.parallelism().planted == bug; }
  bool summed_under_cp() const {
    return planted(PlantedBug::balance_scale_under_cp) && mesh.size(Axis::cp) > 1;
  }

  // What this rank dispatches: the pairs of its own tokens.
  SparseAssignment own_assignment(const SparseAssignment& assignment,
                                  const TokenSharding& sharding) const {
    std::vector<int32_t> pairs;
    SparseAssignment own = take_tokens(assignment, sharding.own_rows(), pairs);
    const auto count = static_cast<int64_t>(pairs.size());
    const Tensor& weight = assignment.weight;
    own.weight = reshape(
        gather_rows(reshape(weight, Shape{weight.dim(0), 1}),
                    Tensor::from(std::span<const int32_t>(pairs), {count}, weight.device())),
        Shape{count});
    return own;
  }

  // Stream rows to own rows and back: without sp the stream is the same on all tp ranks.
  bool sliced(const TokenSharding* sharding) const {
    return sharding != nullptr && !mesh.parallelism().sp && mesh.size(Axis::tp) > 1;
  }

  std::vector<BalanceTerm> balance_terms() const {
    std::vector<BalanceTerm> terms = inputs.config.balance;
    if (planted(PlantedBug::balance_scale_under_tp)) {
      for (BalanceTerm& term : terms) term.coef /= mesh.size(Axis::tp);
    }
    return terms;
  }

  MoELayerInputs inputs;
  const Mesh& mesh;
  Communicator& token_group;  // the ranks over which a micro-batch is spread
  const RouterDescriptor& descriptor;
  std::unique_ptr<RowMover> mover;
  std::shared_ptr<Router> router;
  std::unique_ptr<Experts> experts;
  std::unique_ptr<SharedExperts> shared;
  std::function<void(const Routing&)> observer;
  std::shared_ptr<ExactBatch> exact = std::make_shared<ExactBatch>();  // of this step
  std::unique_ptr<PreviousBatch> previous;  // where a balance term reads it
};

MoELayer::MoELayer(const MoELayerInputs& inputs, const Mesh& mesh,
                   const std::shared_ptr<Device>& device)
    : impl_(std::make_unique<Impl>(inputs, mesh, device)) {}

MoELayer::~MoELayer() = default;

MoEOutput MoELayer::forward(const Tensor& x_TD, const TokenContext& context,
                            const SparseAssignment* replay, const TokenSharding* sharding,
                            const Tensor& residual_TD) {
  Impl& layer = *impl_;
  if (sharding != nullptr && sharding->whole()) sharding = nullptr;
  const int64_t stream =
      sharding == nullptr ? context.tokens() : static_cast<int64_t>(sharding->stream_rows().size());
  require(x_TD.rank() == 2 && x_TD.dim(0) == stream && x_TD.dim(1) == layer.inputs.dim,
          "{} given {} for {} tokens of width {}", layer.inputs.name, x_TD.shape().text(), stream,
          layer.inputs.dim);
  const bool sliced = layer.sliced(sharding);
  Communicator& tp = layer.mesh.group(Axis::tp);
  const auto own_rows = [&](const Tensor& rows, const char* what) {
    return sliced ? slice_rows(rows, sharding->own_counts_over_tp(), tp, layer.inputs.name + what)
                  : rows;
  };
  const Tensor own_TD = own_rows(x_TD, " own rows");
  Tensor own_residual_TD;
  if (layer.descriptor.reads_residual) {
    require(residual_TD.defined() && residual_TD.shape() == x_TD.shape(),
            "{}: router {} reads the residual stream, which is not given", layer.inputs.name,
            layer.inputs.config.router);
    own_residual_TD = own_rows(residual_TD, " own rows of the residual");
  }
  Call call{x_TD, own_TD, context, sharding, sliced, replay, layer.factor(context), {}};
  if (call.factor && replay == nullptr)
    call.groups = make_groups(layer.inputs.config.group, context);
  Routing routing = layer.route(call, own_residual_TD);
  return std::visit([&](auto& assignment) { return layer.carry_out(assignment, routing, call); },
                    routing.assignment);
}

void MoELayer::read_corpus(const CorpusFacts& corpus) {
  if (impl_->owns_router()) impl_->router->read_corpus(corpus);
}

bool MoELayer::needs_batch_before_backward() const {
  const auto& terms = impl_->inputs.config.balance;
  return std::any_of(terms.begin(), terms.end(), waits_for_batch);
}

void MoELayer::before_backward(const RouterStats& whole_batch) {
  const std::vector<int64_t>& pairs = whole_batch.balanced();
  impl_->exact->set({{pairs.begin(), pairs.end()},
                     whole_batch.probability_sum,
                     whole_batch.load_sum,
                     static_cast<double>(whole_batch.tokens)});
}

void MoELayer::after_step(const RouterStats& whole_batch) {
  Impl& layer = *impl_;
  if (layer.owns_router()) layer.router->after_step(whole_batch.selected);
  layer.exact = std::make_shared<ExactBatch>();
  if (layer.previous) layer.previous->set(whole_batch.balanced(), whole_batch);
}

void MoELayer::parameters(const std::function<void(Parameter&)>& visit) {
  if (impl_->owns_router()) impl_->router->parameters(visit);
  impl_->experts->parameters(visit);
  if (impl_->shared) impl_->shared->parameters(visit);
}

void MoELayer::state(State& state) {
  if (impl_->owns_router()) impl_->router->state(state);
  if (impl_->previous) impl_->previous->state(impl_->inputs.name, state);
}

void MoELayer::observe_routing(std::function<void(const Routing&)> observer) {
  impl_->observer = std::move(observer);
}

const std::shared_ptr<Router>& MoELayer::router() const { return impl_->router; }
const MoEConfig& MoELayer::config() const { return impl_->inputs.config; }
const std::string& MoELayer::name() const { return impl_->inputs.name; }

Tensor attach_losses(const Tensor& y_TD, std::span<const LossTerm> losses) {
  const Operator op("attach_losses", y_TD.stream());
  std::vector<Tensor> inputs{y_TD};
  std::vector<Tensor> detached;
  for (const LossTerm& loss : losses) {
    inputs.push_back(loss.value);
    detached.push_back(loss.value.detach());
  }
  return record(
      op, y_TD.detach(), inputs,
      [losses = std::move(detached)](const Tensor& g, InputGradients& to) {
        to.add(0, g);
        for (size_t i = 0; i < losses.size(); ++i) {
          const int at = static_cast<int>(i) + 1;
          if (to.needs(at))
            to.add(at, Tensor::full(losses[i].shape(), losses[i].dtype(), 1.0, losses[i].device()));
        }
      });
}

}  // namespace troupe
