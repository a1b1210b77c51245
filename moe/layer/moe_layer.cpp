#include "moe/layer/moe_layer.h"

#include <algorithm>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/arithmetic.h"
#include "core/ops/rows.h"
#include "core/ops/view.h"
#include "moe/dispatch/dispatcher.h"
#include "moe/dispatch/exchange.h"
#include "moe/dispatch/node_hop.h"
#include "moe/experts/expert_bank.h"
#include "moe/layer/capacity_drops.h"
#include "moe/layer/layer_stats.h"
#include "moe/layer/overlapped_experts.h"
#include "moe/layer/previous_batch.h"
#include "moe/routers/table.h"
#include "parallel/collectives/parts.h"

namespace troupe {
namespace {

std::unique_ptr<Router> make_router(const MoELayerInputs& inputs,
                                    const std::shared_ptr<Device>& device) {
  const RouterDescriptor* descriptor = find_router(inputs.config.router);
  require(descriptor != nullptr, "no router named {}", inputs.config.router);
  RouterInputs router;
  router.experts = inputs.config.experts;
  router.dim = inputs.dim;
  router.name = inputs.name + ".router";
  router.precision = inputs.config.router_precision;
  router.init_std = inputs.init_std;
  router.seed = inputs.seed;
  router.vocab = inputs.vocab;
  router.device = device;
  return descriptor->make(inputs.config.router_options, router);
}

// Null where rows go straight to the ranks of their experts.
std::unique_ptr<NodeHop> make_node_hop(const MoELayerInputs& inputs, const Mesh& mesh) {
  std::vector<int> nodes = mesh.ep_nodes();
  if (*std::max_element(nodes.begin(), nodes.end()) == 0) return nullptr;
  return std::make_unique<NodeHop>(Placement::identity(inputs.config.experts, mesh.size(Axis::ep)),
                                   std::move(nodes), mesh.group(Axis::ep), inputs.name);
}

Dispatcher make_dispatcher(const MoELayerInputs& inputs, const Mesh& mesh, const NodeHop* hop) {
  Placement placement = hop != nullptr
                            ? hop->placement_on_node()
                            : Placement::identity(inputs.config.experts, mesh.size(Axis::ep));
  return {std::move(placement),
          {mesh.ep_node_group(), mesh.group(Axis::etp)},
          inputs.name,
          mesh.size(Axis::ep) > 1 ? inputs.config.overlap : 1};
}

ExpertInputs expert_inputs(const MoELayerInputs& inputs, const std::string& part, int64_t experts,
                           int64_t ffn_dim) {
  return {experts,         inputs.dim,          ffn_dim, inputs.name + "." + part, inputs.compute,
          inputs.init_std, inputs.down_init_std};
}

// For tests: the experts of the last token are not called.
void lose_last_token(Assignment& assignment) {
  if (assignment.tokens == 0) return;
  const auto begin = assignment.token_begin[static_cast<size_t>(assignment.tokens) - 1];
  std::fill(assignment.kept.begin() + begin, assignment.kept.end(), uint8_t{0});
}

}  // namespace

struct MoELayer::Impl {
  Impl(const MoELayerInputs& given, const Mesh& on, const std::shared_ptr<Device>& device)
      : inputs(given),
        mesh(on),
        token_group(mesh.group(Axis::cp, Axis::tp)),
        router(make_router(given, device)),
        node_hop(make_node_hop(given, mesh)),
        dispatcher(make_dispatcher(given, mesh, node_hop.get())),
        bank(expert_inputs(given, "experts", given.config.experts, given.config.ffn_dim), mesh,
             device) {
    const MoEConfig& config = inputs.config;
    require(config.overlap >= 1, "overlap {}: 1 or more", config.overlap);
    if (config.shared_experts > 0) {
      shared = std::make_unique<SharedExperts>(
          expert_inputs(given, "shared", config.shared_experts, config.shared_ffn_dim), mesh,
          device);
    }
    const bool reads_previous =
        std::any_of(config.balance.begin(), config.balance.end(), [](const BalanceTerm& term) {
          return term.scope == BalanceScope::global_batch && term.type != "z";
        });
    if (reads_previous) previous = std::make_unique<PreviousBatch>(config.experts, device);
  }

  // Own tokens to their experts and back: [own tokens, D]. rows: what this rank's experts computed.
  Tensor through_experts(const Tensor& own_TD, const Assignment& assignment, PhaseClock* clock,
                         int64_t& rows) {
    if (!node_hop) return on_node(own_TD, assignment, clock, rows);
    NodeHop::Arrived arrived = node_hop->out(own_TD, assignment, clock);
    if (planted(PlantedBug::lost_token_in_second_hop)) lose_last_token(arrived.assignment);
    const Tensor done = on_node(arrived.x_AD, arrived.assignment, clock, rows);
    return node_hop->back(done, *arrived.plan, clock);
  }

  Tensor on_node(const Tensor& own_TD, const Assignment& assignment, PhaseClock* clock,
                 int64_t& rows) {
    if (mesh.size(Axis::ep) > 1) {
      const PermutedRows leaving = dispatcher.permute(own_TD, assignment, clock);
      rows = leaving.plan->computed();
      const Tensor done = overlapped_experts(leaving, dispatcher, bank, clock);
      return dispatcher.unpermute(done, *leaving.plan, clock);
    }
    // Nothing travels over ep, so there is nothing to overlap.
    const DispatchedRows at = dispatcher.dispatch(own_TD, assignment, clock);
    rows = at.plan->computed();
    const Tensor done = bank.forward(at.x_RD, at.plan->chunks[0].expert_rows, at.weight_R);
    return dispatcher.combine(done, *at.plan, clock);
  }

  // none: nothing is dropped (and experts that choose have no capacity to go by).
  std::optional<double> factor(const TokenContext& context) const {
    if (context.dropless && !router->limits_itself()) return std::nullopt;
    return context.training ? inputs.config.capacity_factor : inputs.config.capacity_factor_eval;
  }

  // x: own rows.
  Routing route(const Tensor& x_TD, const TokenContext& context, const TokenSharding* sharding,
                const Assignment* replay) {
    PhaseScope scope(context.clock, Phase::dispatch);
    const std::optional<double> limit = factor(context);
    Groups groups;
    if (limit && replay == nullptr) groups = make_groups(inputs.config.group, context);
    RouterInput input{x_TD, context, &groups, limit, {}, {}};
    if (sharding != nullptr) {
      input.held = sharding->own_rows();
      input.gather = [this, sharding](const Tensor& rows) { return whole(rows, *sharding); };
    }
    Routing routing = router->route(input, replay);
    if (observer && replay == nullptr) observer(routing);
    Assignment& assignment = routing.assignment;
    if (replay != nullptr) {
      assignment.kept = replay->kept;
    } else if (limit && !router->limits_itself()) {
      drop_over_capacity(inputs.config, *router, groups, *limit, routing);
    }
    const Tensor outputs[] = {assignment.weight, routing.probabilities_TE, routing.load_TE};
    charge_backward(outputs, std::span<const Tensor>(&x_TD, 1), context.clock, Phase::dispatch);
    return routing;
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
  Assignment own_assignment(const Assignment& assignment, const TokenSharding& sharding) const {
    std::vector<int32_t> pairs;
    Assignment own = take_tokens(assignment, sharding.own_rows(), pairs);
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

  // The pairs of each expert that load fractions count.
  const std::vector<int64_t>& counted(const RouterStats& stats) const {
    return router->balance_by_first_choice() ? stats.first : stats.selected;
  }

  MoELayerInputs inputs;
  const Mesh& mesh;
  Communicator& token_group;  // the ranks over which a micro-batch is spread
  std::unique_ptr<Router> router;
  std::unique_ptr<NodeHop> node_hop;  // where tokens cross between nodes once for all experts there
  Dispatcher dispatcher;
  ExpertBank bank;
  std::unique_ptr<SharedExperts> shared;
  std::function<void(const Routing&)> observer;
  std::shared_ptr<ExactBatch> exact = std::make_shared<ExactBatch>();  // of this step
  std::unique_ptr<PreviousBatch> previous;  // where a balance term reads it
};

MoELayer::MoELayer(const MoELayerInputs& inputs, const Mesh& mesh,
                   const std::shared_ptr<Device>& device)
    : impl_(std::make_unique<Impl>(inputs, mesh, device)) {
  parameters([&](Parameter& parameter) {
    // Then whoever spreads the values draws them.
    if (value_is_sharded(parameter.layout(), mesh.parallelism()))
      parameter.value().storage()->free();
    parameter.initialize(inputs.seed);
  });
}

MoELayer::~MoELayer() = default;

MoEOutput MoELayer::forward(const Tensor& x_TD, const TokenContext& context,
                            const Assignment* replay, const TokenSharding* sharding) {
  Impl& layer = *impl_;
  if (sharding != nullptr && sharding->whole()) sharding = nullptr;
  const int64_t stream =
      sharding == nullptr ? context.tokens() : static_cast<int64_t>(sharding->stream_rows().size());
  require(x_TD.rank() == 2 && x_TD.dim(0) == stream && x_TD.dim(1) == layer.inputs.dim,
          "{} given {} for {} tokens of width {}", layer.inputs.name, x_TD.shape().text(), stream,
          layer.inputs.dim);
  const bool sliced = layer.sliced(sharding);
  Communicator& tp = layer.mesh.group(Axis::tp);
  const Tensor own_TD =
      sliced ? slice_rows(x_TD, sharding->own_counts_over_tp(), tp, layer.inputs.name + " own rows")
             : x_TD;
  const Routing routing = layer.route(own_TD, context, sharding, replay);
  MoEOutput out;
  int64_t rows = 0;
  out.y_TD = layer.through_experts(own_TD,
                                   sharding == nullptr
                                       ? routing.assignment
                                       : layer.own_assignment(routing.assignment, *sharding),
                                   context.clock, rows);
  if (sliced) {
    out.y_TD =
        all_parts(out.y_TD, sharding->own_counts_over_tp(), tp, layer.inputs.name + " all rows");
  }
  if (layer.shared) out.y_TD = add(out.y_TD, layer.shared->forward(x_TD));
  PhaseScope scope(context.clock, Phase::dispatch);
  if (context.training && !layer.inputs.config.balance.empty()) {
    const BatchLoad previous = layer.previous ? layer.previous->load() : BatchLoad{};
    out.losses = balance_losses(layer.balance_terms(),
                                {routing, context, previous, layer.router->choices(),
                                 layer.router->balance_by_first_choice(), layer.exact});
  }
  out.stats = count_routing(routing, context);
  out.stats.rows = rows;
  out.assignment = routing.assignment;
  out.assignment.weight = {};
  return out;
}

void MoELayer::read_corpus(const CorpusFacts& corpus) { impl_->router->read_corpus(corpus); }

bool MoELayer::needs_batch_before_backward() const {
  const auto& terms = impl_->inputs.config.balance;
  return std::any_of(terms.begin(), terms.end(), waits_for_batch);
}

void MoELayer::before_backward(const RouterStats& whole_batch) {
  const std::vector<int64_t>& pairs = impl_->counted(whole_batch);
  impl_->exact->set({{pairs.begin(), pairs.end()},
                     whole_batch.probability_sum,
                     whole_batch.load_sum,
                     static_cast<double>(whole_batch.tokens)});
}

void MoELayer::after_step(const RouterStats& whole_batch) {
  Impl& layer = *impl_;
  layer.router->after_step(whole_batch.selected);
  layer.exact = std::make_shared<ExactBatch>();
  if (layer.previous) layer.previous->set(layer.counted(whole_batch), whole_batch);
}

void MoELayer::parameters(const std::function<void(Parameter&)>& visit) {
  impl_->router->parameters(visit);
  impl_->bank.parameters(visit);
  if (impl_->shared) impl_->shared->parameters(visit);
}

void MoELayer::state(State& state) {
  impl_->router->state(state);
  if (impl_->previous) impl_->previous->state(impl_->inputs.name, state);
}

void MoELayer::observe_routing(std::function<void(const Routing&)> observer) {
  impl_->observer = std::move(observer);
}

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
