#include "launch/config/block_memory.h"

#include <algorithm>

#include "core/kernels/grouped_gemm.h"
#include "launch/config/bytes.h"
#include "launch/config/routed_rows.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

using kernels::kRowBlock;
using kernels::kRowPad;

class BlockModel {
 public:
  explicit BlockModel(const RunConfig& config)
      : config_(config),
        model_(config.model),
        tp_(config.parallel.shape[Axis::tp]),
        tokens_(config.train.micro_batch * config.model.seq_len),
        rows_(tokens_ / config.parallel.shape[Axis::cp]),
        stream_(config.parallel.sp ? rows_ / tp_ : rows_),
        c_(bytes_of(model_.compute)),
        w_(bytes_of(wide(model_.compute))) {}

  BlockMemory memory(size_t layer) const {
    BlockMemory memory;
    memory.saved = attention();
    // Gradients of what the projections and norms gave, for those of the weights; those of q, k and
    // v take the place of q, k and v.
    memory.deferred = 3 * stream(model_.dim);
    if (model_.moe[layer]) {
      experts(*model_.moe[layer], memory);
    } else {
      feed_forward(1, rows_, model_.ffn_dim / tp_, memory);
    }
    if (model_.dropout > 0) memory.saved += 2 * allocated(stream_ * 8);  // rows that key the draws
    return memory;
  }
  // A tensor [rows, width] of the residual stream in the compute type.
  int64_t stream(int64_t width) const { return allocated(stream_ * width * c_); }

 private:
  // A tensor [attention rows, width] in the compute type, and in the wide type.
  int64_t rows(int64_t width) const { return allocated(rows_ * width * c_); }
  int64_t wide_rows(int64_t width) const { return allocated(rows_ * width * w_); }

  // Input of the norm and its statistic, output of the norm (input of q, k, v), q and k after RoPE,
  // v, the mixed values (input of o), log-sum-exp per head and first keys; then the input of the
  // second norm and its statistic.
  int64_t attention() const {
    const int64_t heads = model_.heads / tp_;
    const int64_t kv_heads = std::max<int64_t>(1, model_.kv_heads / tp_);
    const int64_t query = heads * model_.head_dim;
    const int64_t kv = kv_heads * model_.head_dim;
    int64_t bytes = 2 * stream(model_.dim) + rows(model_.dim) + 2 * rows(query) + 2 * rows(kv);
    bytes += 2 * wide_rows(1) + wide_rows(heads) + allocated(rows_ * 4);
    if (model_.qk_norm) bytes += rows(query) + rows(kv) + wide_rows(heads) + wide_rows(kv_heads);
    return bytes;
  }

  // SwiGLU over `rows` rows of `experts` experts of width f: keeps its input and the hidden rows,
  // which are filled up to a multiple of kRowPad for each expert, by half of it on average;
  // backward adds the operands of both weight gradients and the gradients of input and output.
  void feed_forward(int64_t experts, int64_t rows, int64_t f, BlockMemory& memory) const {
    const int64_t filled = (rows + experts * kRowPad / 2) * c_;
    const int64_t d = model_.dim;
    memory.saved += allocated(rows * d * c_) + allocated(filled * 2 * f);
    memory.deferred += allocated(rows * d * c_) + allocated(filled * f) + allocated(filled * 2 * f);
    memory.scratch = std::max(memory.scratch, allocated(kRowBlock * (2 * d + 3 * f) * c_));
    memory.backward =
        std::max(memory.backward, 2 * allocated(filled * d) + allocated(filled * f) +
                                      allocated(filled * 2 * f) + allocated(rows * d * c_));
  }

  void experts(const MoEConfig& moe, BlockMemory& memory) const {
    const int64_t ep = config_.parallel.shape[Axis::ep];
    const int64_t etp = config_.parallel.shape[Axis::etp];
    // With routing taken as even: the rows of all etp ranks, which each take to a part of an
    // expert.
    const int64_t rows = routed_rows(moe, config_.train.micro_batch, model_.seq_len) * etp /
                         (config_.parallel.shape[Axis::cp] * tp_);
    feed_forward(moe.experts / ep, rows, moe.ffn_dim / etp, memory);
    memory.backward += allocated(rows * model_.dim * c_);  // gradient of the experts' output
    memory.saved +=
        2 * allocated(rows * w_) + 5 * allocated(rows * 4);  // gate weights, row indices
    const RouterDescriptor& router = *find_router(moe.router);
    if (router.has_parameters) {
      const int64_t r = bytes_of(moe.router_precision);
      memory.saved += router_rows(moe);
      memory.saved += allocated(router_columns(moe, router) * tokens_ * r);
    }
    if (moe.shared_experts > 0) {
      BlockMemory shared;
      feed_forward(1, rows_, moe.shared_experts * moe.shared_ffn_dim / tp_, shared);
      if (router.has_parameters && !jittered(moe)) {
        shared.saved -= this->rows(model_.dim);  // the same rows as the router's input
      }
      memory.saved += shared.saved;
      memory.deferred += shared.deferred;
      memory.backward = std::max(memory.backward, shared.backward);
      memory.scratch = std::max(memory.scratch, shared.scratch);
    }
    if (ep * etp > 1) memory.exchanged = allocated(rows * model_.dim * c_);
  }

  static bool jittered(const MoEConfig& moe) {
    return moe.router_options.has("jitter") && moe.router_options.real("jitter") > 0;
  }

  // What a router keeps of its input: the rows as they are, or, jittered, in its own type the rows,
  // the factors and their product.
  int64_t router_rows(const MoEConfig& moe) const {
    const int64_t elements = rows_ / tp_ * model_.dim;
    if (!jittered(moe)) return allocated(elements * c_);
    return 3 * allocated(elements * bytes_of(moe.router_precision));
  }

  // Columns of the tables [T, ...] that the router keeps: scores and probabilities, one more per
  // balance term that reads logits, four with noise. Of each of its matrices: router smile has
  // small ones for groups and for the experts in them.
  static int64_t router_columns(const MoEConfig& moe, const RouterDescriptor& router) {
    int64_t tables = 2;
    for (const BalanceTerm& term : moe.balance) tables += term.coef != 0 ? 1 : 0;
    if (moe.router_options.has("noise") && moe.router_options.text("noise") == "learned") {
      return (tables + 4) * moe.experts;
    }
    int64_t columns = 0;
    for (const RouterMatrix& matrix : router_matrices(router, moe.router_options, moe.experts))
      columns += tables * matrix.rows;
    return columns;
  }

  const RunConfig& config_;
  const DecoderConfig& model_;
  int64_t tp_;
  int64_t tokens_;  // of the micro-batch
  int64_t rows_;    // of them, what attention sees here
  int64_t stream_;  // of them, in the residual stream here
  int64_t c_;
  int64_t w_;
};

}  // namespace

BlockMemory block_memory(const RunConfig& config, size_t layer) {
  return BlockModel(config).memory(layer);
}

int64_t stream_memory(const RunConfig& config, int64_t width) {
  return BlockModel(config).stream(width);
}

}  // namespace troupe
