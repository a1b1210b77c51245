#include "models/parts/pre_norm_block.h"

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "core/ops/arithmetic.h"
#include "core/ops/dropout.h"
#include "models/parts/bytes.h"

namespace troupe {
namespace {

class PreNormBlock final : public Block {
 public:
  PreNormBlock(const PreNormParts& parts, const std::string& name, const ModuleContext& context)
      : dropout_(parts.dropout),
        recompute_(parts.recompute),
        name_(name),
        mixer_norm_(parts.mixer_norm->make(name + ".attention_norm", context)),
        mixer_(parts.mixer->make(name + "." + parts.mixer->name(), context)),
        feed_forward_norm_(parts.feed_forward_norm->make(name + ".feed_forward_norm", context)),
        feed_forward_(parts.feed_forward->make(name + "." + parts.feed_forward->name(), context)) {}

  Tensor forward(const Tensor& x_TD, const MicroBatchContext& stream, RoutingRecord& record,
                 const SparseAssignment* replay) override {
    if (!recompute_ || !grad_enabled()) return run(x_TD, stream, record, replay);
    // The first run decides the routing; the second, during backward, repeats its decisions and
    // counts nothing.
    auto decided = std::make_shared<RoutingRecord>();
    auto first = std::make_shared<bool>(true);
    auto block = [this, stream, replay, decided, first](std::span<const Tensor> inputs) {
      if (*first) {
        *first = false;
        return run(inputs[0], stream, *decided, replay);
      }
      RoutingRecord ignored;
      return run(inputs[0], stream, ignored, moe() != nullptr ? &decided->assignment : nullptr);
    };
    Tensor out = recompute(block, std::span<const Tensor>(&x_TD, 1));
    record = *decided;
    return out;
  }

  Tensor decode(const Tensor& x_TD, const TokenContext& tokens, const Tensor& positions,
                MixerCache& cache, RoutingRecord& record) override {
    const Tensor middle_TD =
        add(x_TD, mixer_->decode(mixer_norm_->forward(x_TD), positions, cache));
    return add(middle_TD, feed_forward_->forward(feed_forward_norm_->forward(middle_TD), middle_TD,
                                                 tokens, nullptr, record, nullptr));
  }

  std::unique_ptr<MixerCache> make_cache(int64_t capacity,
                                         const std::shared_ptr<Device>& device) const override {
    return mixer_->make_cache(capacity, device);
  }
  MoELayer* moe() override { return feed_forward_->moe(); }
  void parameters(std::vector<Parameter*>& out) override {
    mixer_norm_->parameters(out);
    mixer_->parameters(out);
    feed_forward_norm_->parameters(out);
    feed_forward_->parameters(out);
  }

 private:
  Tensor run(const Tensor& x_TD, const MicroBatchContext& stream, RoutingRecord& record,
             const SparseAssignment* replay) {
    const Tensor mixed = mixer_->forward(mixer_norm_->forward(x_TD), stream);
    const Tensor middle_TD = add(x_TD, drop(mixed, stream, "attention"));
    const Tensor fed = feed_forward_->forward(feed_forward_norm_->forward(middle_TD), middle_TD,
                                              stream.tokens, stream.sharding.get(), record, replay);
    return add(middle_TD, drop(fed, stream, "feed_forward"));
  }

  Tensor drop(const Tensor& x_TD, const MicroBatchContext& stream, const char* place) const {
    if (!stream.tokens.training || dropout_ == 0.0) return x_TD;
    return dropout(x_TD, dropout_, Random(stream.tokens.seed, "dropout", name_ + "." + place),
                   stream_draws(stream, x_TD.device()));
  }

  double dropout_;
  bool recompute_;
  std::string name_;
  std::unique_ptr<Norm> mixer_norm_;
  std::unique_ptr<SequenceMixer> mixer_;
  std::unique_ptr<Norm> feed_forward_norm_;
  std::unique_ptr<FeedForward> feed_forward_;
};

class PreNormPart final : public Part<Block> {
 public:
  explicit PreNormPart(const PreNormParts& parts) : parts_(parts) {}

  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    std::vector<ParameterSpec> list;
    const std::string begin = name + ".";
    const auto append = [&](const auto& part, const std::string& under) {
      for (ParameterSpec& spec : part->parameters(begin + under, context))
        list.push_back(std::move(spec));
    };
    append(parts_.mixer_norm, "attention_norm");
    append(parts_.mixer, parts_.mixer->name());
    append(parts_.feed_forward_norm, "feed_forward_norm");
    append(parts_.feed_forward, parts_.feed_forward->name());
    return list;
  }

  PartMemory memory(const MemoryContext& context) const override {
    PartMemory memory;
    // Gradients of what the projections and norms gave, for those of the weights; those of q, k and
    // v take the place of q, k and v.
    memory.deferred = 3 * context.stream(parts_.dim);
    memory.add(parts_.mixer_norm->memory(context));
    memory.add(parts_.mixer->memory(context));
    memory.add(parts_.feed_forward_norm->memory(context));
    memory.add(parts_.feed_forward->memory(context));
    // Numbers of the rows, which key the draws.
    if (parts_.dropout > 0) memory.saved += 2 * allocated(context.stream_rows() * 8);
    return memory;
  }

  std::unique_ptr<Block> make(const std::string& name,
                              const ModuleContext& context) const override {
    return std::make_unique<PreNormBlock>(parts_, name, context);
  }

 private:
  PreNormParts parts_;
};

}  // namespace

BlockPart pre_norm_block(const PreNormParts& parts) { return std::make_shared<PreNormPart>(parts); }

}  // namespace troupe
