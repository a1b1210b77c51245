#include <algorithm>

#include "core/device/device.h"
#include "core/kernels/product.h"
#include "launch/config/estimate.h"
#include "launch/config/parameter_plan.h"
#include "launch/config/routed_rows.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

int64_t bytes_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

// Rows that experts get are filled up to a multiple of this, in the forms of weight gradients: half
// of it per expert on average.
constexpr int64_t kRowPad = 32;

// Copies of a matrix in the compute type, one for each of the two products that read it: packed
// where that is faster, else one plain copy where the main value has another type.
int64_t form_bytes(const PlannedParameter& parameter, const MeshShape& mesh, Device& device) {
  if (!parameter.in_products) return 0;
  const Shape local = local_shape(parameter.layout, mesh, coordinates(mesh, 0));
  const int64_t out = local[-2];
  const int64_t in = local[-1];
  const DType compute = parameter.compute;
  const int64_t bytes = local.elements() * bytes_of(compute);
  const bool packs = compute == DType::bf16 || (compute == DType::f32 && kernels::hardware_tiles());
  const bool forward = packs && kernels::packed_block(device, compute, in, out) > 0;
  const bool backward = packs && kernels::packed_block(device, compute, out, in) > 0;
  const bool plain = (!forward || !backward) && wide(compute) != compute;
  return bytes * (forward + backward + plain);
}

// What one block keeps for backward, and what its feed-forward needs besides at the worst moment of
// its backward. T tokens, D = dim, c and w = bytes of the compute and the wide type.
struct BlockMemory {
  int64_t saved = 0;
  int64_t backward = 0;
  int64_t exchanged = 0;  // of kind communication, at the worst moment
};

class BlockModel {
 public:
  explicit BlockModel(const RunConfig& config)
      : config_(config),
        model_(config.model),
        tokens_(config.train.micro_batch * config.model.seq_len),
        c_(bytes_of(model_.compute)),
        w_(bytes_of(wide(model_.compute))) {}

  BlockMemory block(size_t layer) const {
    BlockMemory memory;
    memory.saved = attention();
    if (model_.moe[layer]) {
      experts(*model_.moe[layer], memory);
    } else {
      feed_forward(1, tokens_, model_.ffn_dim, memory);
    }
    if (model_.dropout > 0) memory.saved += 2 * tokens_ * 8;  // rows that the draws are keyed by
    return memory;
  }

 private:
  // Input of the norm and its statistic, output of the norm (input of q, k, v), q and k after RoPE,
  // v, the mixed values (input of o), log-sum-exp per head and first keys; then the input of the
  // second norm and its statistic.
  int64_t attention() const {
    const int64_t query = model_.heads * model_.head_dim;
    const int64_t kv = model_.kv_heads * model_.head_dim;
    int64_t bytes = tokens_ * (3 * model_.dim + 2 * query + 2 * kv) * c_;
    bytes += tokens_ * ((2 + model_.heads) * w_ + 4);
    if (model_.qk_norm) {
      bytes += tokens_ * ((query + kv) * c_ + (model_.heads + model_.kv_heads) * w_);
    }
    return bytes;
  }

  // SwiGLU over `rows` rows of `experts` experts of width f: keeps its input and the hidden rows;
  // backward adds the operands of both weight gradients and the gradients of input and output.
  void feed_forward(int64_t experts, int64_t rows, int64_t f, BlockMemory& memory) const {
    const int64_t filled = rows + experts * kRowPad / 2;
    memory.saved += (rows * model_.dim + filled * 2 * f) * c_;
    memory.backward =
        std::max(memory.backward, (filled * (2 * model_.dim + 3 * f) + rows * model_.dim) * c_);
  }

  void experts(const MoEConfig& moe, BlockMemory& memory) const {
    const int64_t ep = config_.parallel.ep;
    const int64_t rows = routed_rows(moe, config_.train.micro_batch, model_.seq_len);
    feed_forward(moe.experts / ep, rows, moe.ffn_dim, memory);
    memory.backward += rows * model_.dim * c_;  // gradient of the experts' output
    memory.saved += rows * (2 * w_ + 5 * 4);    // gate weights, indices of rows and pairs
    const RouterDescriptor& router = *find_router(moe.router);
    if (router.has_parameters) {
      const int64_t r = bytes_of(moe.router_precision);
      memory.saved += tokens_ * model_.dim * r;  // input of the router
      memory.saved +=
          tokens_ * moe.experts * r * router_tables(moe);  // logits and what they become
    }
    if (moe.shared_experts > 0) {
      BlockMemory shared;
      feed_forward(1, tokens_, moe.shared_experts * moe.shared_ffn_dim, shared);
      if (model_.compute == moe.router_precision && router.has_parameters) {
        shared.saved -= tokens_ * model_.dim * c_;  // the same rows as the router's input
      }
      memory.saved += shared.saved;
      memory.backward = std::max(memory.backward, shared.backward);
    }
    if (ep > 1) memory.exchanged = rows * model_.dim * c_;
  }

  // Tensors [T, E] that the router keeps: scores and probabilities, one more per balance term that
  // reads logits, four with noise.
  int64_t router_tables(const MoEConfig& moe) const {
    int64_t tables = 2;
    for (const BalanceTerm& term : moe.balance) tables += term.coef != 0 ? 1 : 0;
    if (moe.router_options.has("noise") && moe.router_options.text("noise") == "learned") {
      tables += 4;
    }
    return tables;
  }

  const RunConfig& config_;
  const DecoderConfig& model_;
  int64_t tokens_;
  int64_t c_;
  int64_t w_;
};

// The output projection with the loss: gradients of its input and of the head, and the operands of
// one chunk of tokens.
int64_t head_bytes(const DecoderConfig& model, int64_t tokens) {
  const int64_t c = bytes_of(model.compute);
  const int64_t w = bytes_of(wide(model.compute));
  const int64_t fitting = (int64_t{32} << 20) / std::max<int64_t>(model.vocab * c, 1);
  const int64_t chunk = std::min(tokens, std::clamp<int64_t>(fitting / 128 * 128, 512, 1024));
  return tokens * (3 * model.dim * c + 2 * w) + model.vocab * model.dim * w +
         chunk * (model.vocab + model.dim) * c;
}

int64_t moments(const RunConfig& config) {
  if (config.optimizer.type == "adamw") return 2;
  return config.optimizer.options.has("momentum") && config.optimizer.options.real("momentum") > 0
             ? 1
             : 0;
}

}  // namespace

int64_t MemoryEstimate::of(MemoryKind kind) const {
  int64_t bytes = 0;
  for (const MemoryPart& part : parts) bytes += part.kind == kind ? part.bytes : 0;
  return bytes;
}

// The worst moment is one of two: the loss, when every block's values are kept and the head's
// gradient is made; or the backward of the last block's feed-forward, when all of them are still
// kept, too. With recompute blocks keep only their input, and one block at a time the rest.
MemoryEstimate estimate_memory(const RunConfig& config) {
  const DecoderConfig& model = config.model;
  const MeshShape mesh = MeshShape::data_expert(config.parallel.dp, config.parallel.ep);
  const std::shared_ptr<Device> device = Device::cpu(1);
  int64_t main = 0;
  int64_t forms = 0;
  for (const PlannedParameter& parameter : planned_parameters(model)) {
    main += local_elements(parameter, mesh) * bytes_of(wide(parameter.compute));
    forms += form_bytes(parameter, mesh, *device);
  }
  const int64_t tokens = config.train.micro_batch * model.seq_len;
  const int64_t c = bytes_of(model.compute);
  const BlockModel blocks(config);
  BlockMemory all;
  BlockMemory worst;
  for (size_t layer = 0; layer < model.moe.size(); ++layer) {
    const BlockMemory block = blocks.block(layer);
    all.saved += model.recompute ? tokens * model.dim * c : block.saved;
    worst.saved = std::max(worst.saved, block.saved);
    worst.backward = std::max(worst.backward, block.backward);
    worst.exchanged = std::max(worst.exchanged, block.exchanged);
  }
  const int64_t repeated = model.recompute ? worst.saved : 0;
  const int64_t residual = 2 * tokens * model.dim * c;
  const int64_t at_loss = head_bytes(model, tokens);
  const int64_t in_backward = repeated + worst.backward + residual;
  const int64_t tables =
      model.seq_len * model.head_dim * bytes_of(wide(model.compute)) + tokens * 16;

  MemoryEstimate estimate;
  const auto add = [&](const char* name, MemoryKind kind, int64_t bytes) {
    if (bytes == 0) return;
    estimate.parts.push_back({name, kind, bytes});
    estimate.total_bytes += bytes;
  };
  add("main weights", MemoryKind::parameter, main);
  add("forms for products", MemoryKind::parameter, forms);
  add("gradients", MemoryKind::gradient, main);
  add("optimizer moments", MemoryKind::optimizer, moments(config) * main);
  add("kept for backward", MemoryKind::activation, all.saved + tables);
  if (at_loss >= in_backward + worst.exchanged) {
    add("output projection and loss", MemoryKind::activation, at_loss);
  } else {
    add("backward of one block", MemoryKind::activation, in_backward);
    add("rows on their way", MemoryKind::communication, worst.exchanged);
  }
  return estimate;
}

}  // namespace troupe
