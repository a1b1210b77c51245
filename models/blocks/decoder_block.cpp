#include "models/blocks/decoder_block.h"

#include "core/base/random.h"
#include "core/ops/arithmetic.h"
#include "core/ops/dropout.h"
#include "core/ops/norm.h"
#include "core/ops/swiglu_experts.h"

namespace troupe {

DecoderBlock::DecoderBlock(const BlockConfig& config, const std::string& name,
                           const ModuleContext& context)
    : config_(config),
      name_(name),
      region_(*context.mesh),
      attention_(config.attention, name + ".attention", context) {
  const int64_t dim = config.attention.dim;
  auto norm = [&](const char* part) {
    return replicated_parameter(context, name + "." + part + ".weight", {dim}, {Init::Kind::ones},
                                false, TpGradient::stream);
  };
  attention_norm_ = norm("attention_norm");
  feed_forward_norm_ = norm("feed_forward_norm");
  if (config.moe) {
    MoELayerSetup setup;
    setup.config = *config.moe;
    setup.dim = dim;
    setup.name = name + ".moe";
    setup.compute = context.compute;
    setup.init_std = context.init_std;
    setup.down_init_std = context.residual_std;
    setup.seed = context.seed;
    setup.vocab = config.vocab;
    setup.token_counts = config.token_counts;
    moe_ = std::make_unique<MoELayer>(setup, *context.mesh, context.device);
  } else {
    gate_up_ = cut_parameter(context, name + ".feed_forward.gate_up.weight",
                             {2 * config.ffn_dim, dim}, 0, {Init::Kind::normal, context.init_std},
                             true, Cut::block, {config.ffn_dim, config.ffn_dim});
    down_ = cut_parameter(context, name + ".feed_forward.down.weight", {dim, config.ffn_dim}, 1,
                          {Init::Kind::normal, context.residual_std}, true);
  }
}

Tensor DecoderBlock::drop(const Tensor& x_TD, const StreamContext& stream,
                          const char* place) const {
  if (!stream.tokens.training || config_.dropout == 0.0) return x_TD;
  return dropout(x_TD, config_.dropout, Random(stream.tokens.seed, "dropout", name_ + "." + place),
                 stream_draws(stream, x_TD.device()));
}

Tensor DecoderBlock::feed_forward(const Tensor& x_TD, const TokenContext& tokens,
                                  const TokenSharding* sharding, RoutingRecord& record,
                                  const Assignment* replay) {
  if (!moe_) {
    const Tensor rows = region_.enter(x_TD, name_ + " feed_forward in");
    return region_.leave(swiglu_feed_forward(rows, *gate_up_, *down_), name_ + " feed_forward out");
  }
  MoEOutput output = moe_->forward(x_TD, tokens, replay, sharding);
  const Tensor y_TD = attach_losses(output.y_TD, output.losses);
  for (LossTerm& term : output.losses) term.value = term.value.detach();
  record = {std::move(output.losses), std::move(output.stats), std::move(output.assignment)};
  return y_TD;
}

Tensor DecoderBlock::run(const Tensor& x_TD, const StreamContext& stream,
                         const RopeTable& rope_table, RoutingRecord& record,
                         const Assignment* replay) {
  const double eps = config_.attention.norm_eps;
  const Tensor mixed =
      attention_.forward(rms_norm(x_TD, *attention_norm_, eps), stream, rope_table);
  const Tensor middle_TD = add(x_TD, drop(mixed, stream, "attention"));
  const Tensor fed = feed_forward(rms_norm(middle_TD, *feed_forward_norm_, eps), stream.tokens,
                                  stream.sharding.get(), record, replay);
  return add(middle_TD, drop(fed, stream, "feed_forward"));
}

Tensor DecoderBlock::forward(const Tensor& x_TD, const StreamContext& stream,
                             const RopeTable& rope_table, RoutingRecord& record,
                             const Assignment* replay) {
  if (!config_.recompute || !grad_enabled()) return run(x_TD, stream, rope_table, record, replay);
  // The first run decides the routing; the second, during backward, repeats its decisions and
  // counts nothing.
  auto decided = std::make_shared<RoutingRecord>();
  auto first = std::make_shared<bool>(true);
  auto block = [this, stream, rope_table, replay, decided, first](std::span<const Tensor> inputs) {
    if (*first) {
      *first = false;
      return run(inputs[0], stream, rope_table, *decided, replay);
    }
    RoutingRecord ignored;
    return run(inputs[0], stream, rope_table, ignored, is_moe() ? &decided->assignment : nullptr);
  };
  Tensor out = recompute(block, std::span<const Tensor>(&x_TD, 1));
  record = *decided;
  return out;
}

Tensor DecoderBlock::decode(const Tensor& x_TD, const TokenContext& tokens,
                            const RopeTable& rope_table, const Tensor& positions, KvCache& cache,
                            RoutingRecord& record) {
  const double eps = config_.attention.norm_eps;
  const Tensor middle_TD = add(
      x_TD, attention_.decode(rms_norm(x_TD, *attention_norm_, eps), rope_table, positions, cache));
  return add(middle_TD, feed_forward(rms_norm(middle_TD, *feed_forward_norm_, eps), tokens, nullptr,
                                     record, nullptr));
}

void DecoderBlock::parameters(std::vector<Parameter*>& out) {
  out.push_back(attention_norm_.get());
  attention_.parameters(out);
  out.push_back(feed_forward_norm_.get());
  if (gate_up_) out.insert(out.end(), {gate_up_.get(), down_.get()});
  if (moe_) moe_->parameters([&out](Parameter& parameter) { out.push_back(&parameter); });
}

}  // namespace troupe
