// A mixture-of-experts layer: route, dispatch, experts, combine.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/nn/token_context.h"
#include "core/parameter/parameter.h"
#include "core/parameter/state.h"
#include "moe/balance/balance.h"
#include "moe/layer/moe_config.h"
#include "moe/routers/router_stats.h"
#include "parallel/mesh/mesh.h"
#include "parallel/mesh/token_sharding.h"

namespace troupe {

class Router;

// What a MoE layer is made from.
struct MoELayerInputs {
  MoEConfig config;
  int64_t dim = 0;
  std::string name;             // "layers.3.moe"
  DType compute = DType::f32;   // of products and activations
  double init_std = 0.02;       // router, gate and up
  double down_init_std = 0.02;  // the projection back into the residual stream
  uint64_t seed = 0;            // run.seed
  int64_t vocab = 0;
  // Of another layer, which has its parameters and its state, and whose counts alone move it; null
  // = the layer makes its own.
  std::shared_ptr<Router> router;
};

struct MoEOutput {
  Tensor y_TD;  // rows of x, compute type
  // Of the whole micro-batch, the same on all ranks of a data rank.
  std::vector<LossTerm> losses;  // only in training
  RouterStats stats;             // `rows`: what this rank's experts computed
  // With drops, without weights: can be saved and replayed. Of a routing of another kind: empty, as
  // there are no choices.
  SparseAssignment assignment;
};

class MoELayer {
 public:
  // Collective over nothing: every rank makes its own part. Throws Error(usage) when the experts do
  // not divide over ep.
  MoELayer(const MoELayerInputs& inputs, const Mesh& mesh, const std::shared_ptr<Device>& device);
  ~MoELayer();
  MoELayer(const MoELayer&) = delete;
  MoELayer& operator=(const MoELayer&) = delete;

  // x: the stream rows of the micro-batch that `context` describes whole ([tokens, dim] where
  // sharding is null: this rank holds them all). Entered by every rank of the expert mesh, with
  // zero tokens if need be. Calling it twice (recompute, evaluation) gives the same: nothing that a
  // checkpoint keeps moves. Its losses of scope global_batch_exact wait in the layer for
  // before_backward, and observe_routing's observer is called. replay: an assignment of the
  // micro-batch whose experts and drops are taken instead of routing. residual: the stream before
  // the norm, rows as of x, for routers that read it (RouterDescriptor::reads_residual).
  MoEOutput forward(const Tensor& x_TD, const TokenContext& context,
                    const SparseAssignment* replay = nullptr,
                    const TokenSharding* sharding = nullptr, const Tensor& residual_TD = {});

  // See Router::read_corpus.
  void read_corpus(const CorpusFacts& corpus);

  // For scope global_batch_exact: must be called between the last forward of a step and its first
  // backward, with the statistics of the whole batch (see add_over_ranks). Gives the losses of
  // these forwards their values.
  bool needs_batch_before_backward() const;
  void before_backward(const RouterStats& whole_batch);

  // Once per optimizer step, with the whole batch's statistics (see add_over_ranks): moves the
  // selection bias and keeps the load for scope global_batch.
  void after_step(const RouterStats& whole_batch);

  void parameters(const std::function<void(Parameter&)>& visit);
  // Appends what a checkpoint must keep besides parameters; its tensors may be written in place.
  void state(State& state);

  // Called with what the router decided, before drops, in every forward that does not replay: for
  // tests that compare decisions. None unless set.
  void observe_routing(std::function<void(const Routing&)> observer);

  // For layers that share it.
  const std::shared_ptr<Router>& router() const;
  const MoEConfig& config() const;
  const std::string& name() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// y, whose backward also starts the gradients of the losses (with seed 1). With it the terms of a
// recomputed block need not leave the block: use either this or the losses as roots, never both.
Tensor attach_losses(const Tensor& y_TD, std::span<const LossTerm> losses);

}  // namespace troupe
