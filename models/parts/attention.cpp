#include "models/parts/attention.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/kernels/elementwise.h"
#include "core/ops/arithmetic.h"
#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/ops/norm.h"
#include "core/ops/view.h"
#include "models/parts/bytes.h"
#include "models/parts/rope_tables.h"
#include "parallel/cp/context_attention.h"
#include "parallel/tp/region.h"

namespace troupe {
namespace {

struct KvCache final : MixerCache {
  Tensor keys;    // [1, capacity, kv_heads, head_dim]
  Tensor values;  // the same
  int64_t length = 0;
};

std::vector<ParameterSpec> attention_parameters(const AttentionConfig& config,
                                                const std::string& name,
                                                const ParameterContext& context) {
  const int tp = context.parallelism.shape[Axis::tp];
  const bool cut_kv = config.kv_heads % tp == 0;  // else every tp rank holds all key heads
  const int64_t query_dim = config.heads * config.head_dim;
  const int64_t kv_dim = config.kv_heads * config.head_dim;
  const Init normal{Init::Kind::normal, context.init_std};
  const Init zeros{Init::Kind::zeros};
  // Rows of a projection belong to heads.
  const auto rows = [&](const char* part, const Shape& shape, Init init, bool cut) {
    const std::string full = name + "." + part;
    return cut ? cut_parameter(context, full, shape, 0, init)
               : replicated_parameter(context, full, shape, init, TpGradient::partial);
  };
  std::vector<ParameterSpec> list{
      rows("q.weight", {query_dim, config.dim}, normal, true),
      rows("k.weight", {kv_dim, config.dim}, normal, cut_kv),
      rows("v.weight", {kv_dim, config.dim}, normal, cut_kv),
      cut_parameter(context, name + ".o.weight", {config.dim, query_dim}, 1,
                    {Init::Kind::normal, context.residual_std}),
  };
  if (config.bias) {
    list.push_back(rows("q.bias", {query_dim}, zeros, true));
    list.push_back(rows("k.bias", {kv_dim}, zeros, cut_kv));
    list.push_back(rows("v.bias", {kv_dim}, zeros, cut_kv));
  }
  if (config.output_bias) {
    list.push_back(
        replicated_parameter(context, name + ".o.bias", {config.dim}, zeros, TpGradient::stream));
  }
  if (config.qk_norm) {
    for (const char* part : {"q_norm.weight", "k_norm.weight"})
      list.push_back(rows(part, {config.head_dim}, {Init::Kind::ones}, false));
  }
  return list;
}

class Attention final : public SequenceMixer {
 public:
  Attention(const AttentionConfig& config, const std::string& name, const ModuleContext& context)
      : config_(config),
        mesh_(*context.mesh),
        region_(*context.mesh),
        name_(name),
        heads_(config.heads / region_.size()),
        projected_kv_(config.kv_heads),
        kv_heads_(config.kv_heads),
        compute_(context.parameters.compute),
        parameters_(attention_parameters(config, name, context.parameters), context) {
    const int64_t tp = region_.size();
    require(config.heads % tp == 0, "{} heads over tp {}", config.heads, tp);
    if (config.kv_heads % tp == 0) {
      projected_kv_ = kv_heads_ = config.kv_heads / tp;
    } else {
      require(tp % config.kv_heads == 0, "{} key heads over tp {}", config.kv_heads, tp);
      kv_heads_ = 1;
      first_kv_ = region_.rank() * config.kv_heads / tp;
    }
    if (config.rope_theta) {
      rope_table_ = context.rope_tables->table(config.seq_len, config.head_dim, *config.rope_theta,
                                               compute_, context.device);
    }
    query_ = find("q");
    key_ = find("k");
    value_ = find("v");
    output_ = find("o");
    query_norm_ = parameters_.find(name + ".q_norm.weight");
    key_norm_ = parameters_.find(name + ".k_norm.weight");
  }

  Tensor forward(const Tensor& x_TD, const MicroBatchContext& stream) const override {
    const TokenContext& tokens = stream.tokens;
    const Tensor rows = region_.enter(x_TD, name_ + " in");
    const int64_t length = tokens.sequences > 0 ? rows.dim(0) / tokens.sequences : 0;
    const Heads heads = project(rows, tokens.sequences, length, stream.positions);
    AttentionOptions options;
    options.window = config_.window;
    if (tokens.documents.defined())
      options.documents = reshape(tokens.documents, {tokens.sequences, tokens.seq_len});
    return project_out(context_attention(heads.query, heads.key, heads.value, options,
                                         *stream.sharding, mesh_, name_));
  }

  Tensor decode(const Tensor& x_TD, const Tensor& positions, MixerCache& store) const override {
    auto& cache = dynamic_cast<KvCache&>(store);
    const int64_t count = x_TD.dim(0);
    require(cache.length + count <= cache.keys.dim(1), "{} tokens do not fit a cache of {}",
            cache.length + count, cache.keys.dim(1));
    const Heads heads = project(x_TD, 1, count, positions);
    const auto rows = [&](const Tensor& stored, int64_t first, int64_t size) {
      return stored.strided({1, size, kv_heads_, config_.head_dim}, stored.strides(),
                            first * stored.strides()[1]);
    };
    kernels::copy(x_TD.stream(), heads.key.view(), rows(cache.keys, cache.length, count).view());
    kernels::copy(x_TD.stream(), heads.value.view(),
                  rows(cache.values, cache.length, count).view());
    cache.length += count;
    const Tensor mixed = attention_decode(heads.query, rows(cache.keys, 0, cache.length),
                                          rows(cache.values, 0, cache.length), config_.window);
    return project_out(mixed);
  }

  std::unique_ptr<MixerCache> make_cache(int64_t capacity,
                                         const std::shared_ptr<Device>& device) const override {
    const Shape shape{1, capacity, kv_heads_, config_.head_dim};
    auto cache = std::make_unique<KvCache>();
    cache->keys = Tensor::zeros(shape, compute_, device);
    cache->values = Tensor::zeros(shape, compute_, device);
    return cache;
  }

  void parameters(std::vector<Parameter*>& out) const override { parameters_.append_to(out); }

 private:
  struct Projection {
    Parameter* weight = nullptr;
    Parameter* bias = nullptr;  // may be null
  };
  struct Heads {
    Tensor query;  // [B, attention rows of a sequence, heads of this rank, head_dim]
    Tensor key;    // the same with its key heads
    Tensor value;
  };

  Projection find(const char* part) const {
    return {&parameters_.at(name_ + "." + part + ".weight"),
            parameters_.find(name_ + "." + part + ".bias")};
  }

  // Of the key heads that this rank projects, those that it uses.
  Tensor used_heads(const Tensor& projected) const {
    return projected_kv_ == kv_heads_ ? projected : narrow(projected, 2, first_kv_, kv_heads_);
  }

  Heads project(const Tensor& x_TD, int64_t sequences, int64_t seq_len,
                const Tensor& positions) const {
    const auto split = [&](const Projection& by, int64_t heads) {
      return reshape(linear(x_TD, *by.weight, by.bias),
                     {sequences, seq_len, heads, config_.head_dim});
    };
    Tensor query = split(query_, heads_);
    Tensor key = used_heads(split(key_, projected_kv_));
    Tensor value = used_heads(split(value_, projected_kv_));
    if (config_.qk_norm) {
      query = rms_norm(query, *query_norm_, config_.norm_eps);
      key = rms_norm(key, *key_norm_, config_.norm_eps);
    }
    if (!rope_table_) return {query, key, value};
    return {rope(query, *rope_table_, positions), rope(key, *rope_table_, positions), value};
  }

  Tensor project_out(const Tensor& mixed) const {
    const Tensor rows = reshape(mixed, {mixed.dim(0) * mixed.dim(1), heads_ * config_.head_dim});
    if (region_.size() == 1) return linear(rows, *output_.weight, output_.bias);
    const Tensor out = region_.leave(linear(rows, *output_.weight), name_ + " out");
    return output_.bias != nullptr ? add(out, output_.bias->as_tensor()) : out;
  }

  AttentionConfig config_;
  const Mesh& mesh_;
  TensorRegion region_;
  std::string name_;
  int64_t heads_;         // of this rank
  int64_t projected_kv_;  // key heads that this rank projects
  int64_t first_kv_ = 0;  // the first of those that it uses
  int64_t kv_heads_;      // how many it uses
  DType compute_;
  std::shared_ptr<const RopeTable> rope_table_;  // may be null
  ParameterSet parameters_;
  Projection query_, key_, value_, output_;
  Parameter* query_norm_ = nullptr;
  Parameter* key_norm_ = nullptr;
};

class AttentionPart final : public NamedPart<SequenceMixer> {
 public:
  explicit AttentionPart(const AttentionConfig& config) : config_(config) {}
  std::string name() const override { return "attention"; }
  std::vector<ParameterSpec> parameters(const std::string& name,
                                        const ParameterContext& context) const override {
    return attention_parameters(config_, name, context);
  }
  // Input of q, k and v; q and k as they are compared, v, the mixed values (input of o),
  // log-sum-exp per head and first keys.
  PartMemory memory(const MemoryContext& context) const override {
    const int64_t heads = config_.heads / context.tp();
    const int64_t kv_heads = std::max<int64_t>(1, config_.kv_heads / context.tp());
    const int64_t query = context.rows(heads * config_.head_dim);
    const int64_t kv = context.rows(kv_heads * config_.head_dim);
    PartMemory memory;
    memory.saved = context.rows(config_.dim) + 2 * query + 2 * kv + context.wide_rows(heads) +
                   allocated(context.rows() * 4);
    if (config_.qk_norm) {
      memory.saved += query + kv + context.wide_rows(heads) + context.wide_rows(kv_heads);
    }
    if (config_.rope_theta) {
      memory.tables = config_.seq_len * config_.head_dim * bytes_of(wide(context.compute));
    }
    return memory;
  }
  std::unique_ptr<SequenceMixer> make(const std::string& name,
                                      const ModuleContext& context) const override {
    return std::make_unique<Attention>(config_, name, context);
  }

 private:
  AttentionConfig config_;
};

}  // namespace

MixerPart attention_part(const AttentionConfig& config) {
  return std::make_shared<AttentionPart>(config);
}

}  // namespace troupe
