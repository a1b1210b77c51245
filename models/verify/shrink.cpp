#include "models/verify/shrink.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "moe/dispatch/groups.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

// At least 32 and divided by the same numbers up to `limit`, where there is one that is smaller.
int64_t shrink_vocabulary(int64_t vocab, int64_t limit) {
  for (int64_t small = 32; small < vocab; ++small) {
    bool alike = true;
    for (int64_t d = 2; d <= limit && alike; ++d) alike = (small % d == 0) == (vocab % d == 0);
    if (alike) return small;
  }
  return vocab;
}

// Layers of one kind compute the same with other weights.
using Kind = std::tuple<bool, std::string, std::map<std::string, FieldValue>, size_t>;
Kind kind(const std::optional<MoEConfig>& moe) {
  if (!moe) return {};
  return {true, moe->router, moe->router_options.values(), moe->balance.size()};
}

// `count` layers in their order, all kinds among them.
std::vector<std::optional<MoEConfig>> keep_layers(
    const std::vector<std::optional<MoEConfig>>& layers, size_t count) {
  std::vector<char> keep(layers.size(), 0);
  size_t kept = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool seen =
        std::any_of(layers.begin(), layers.begin() + static_cast<int64_t>(i),
                    [&](const auto& other) { return kind(other) == kind(layers[i]); });
    if (seen) continue;
    keep[i] = 1;
    ++kept;
  }
  for (size_t i = 0; i < layers.size() && kept < count; ++i) {
    if (keep[i] != 0) continue;
    keep[i] = 1;
    ++kept;
  }
  std::vector<std::optional<MoEConfig>> out;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (keep[i] != 0) out.push_back(layers[i]);
  }
  return out;
}

// Groups of tokens keep their share of a sequence as nearly as whole groups allow: those of
// `together` sequences, cut as often as they are (groups across sequences keep their number).
void shrink_group(int64_t seq_len, int64_t small_seq_len, GroupRule& group) {
  if (group.kind != GroupRule::Kind::tokens) return;
  const int64_t together = sequences_together(group, seq_len);
  const int64_t parts = together * seq_len / group.tokens;  // of `together` sequences
  const int64_t part = std::gcd(std::max<int64_t>(1, small_seq_len / parts), small_seq_len);
  group.tokens = together * part;
}

void shrink_moe(const ModelConfig& model, int64_t small_seq_len, int ranks, MoEConfig& moe) {
  const int64_t given = moe.experts;
  const RouterDescriptor& router = router_named(moe.router);
  const int64_t groups = router_groups(router, moe.router_options);
  const int64_t choices = router.choices(moe.router_options);
  moe.experts = shrink_size(given, ranks, std::max<int64_t>(4, 2 * choices * groups));
  // What the router itself asks of their number.
  while (moe.experts < given && !router.problem(moe.router_options, moe.experts).empty()) {
    moe.experts = shrink_size(given, ranks, moe.experts + 1);
  }
  moe.ffn_dim = shrink_size(moe.ffn_dim, ranks, 4);
  if (moe.shared_experts > 0) moe.shared_ffn_dim = shrink_size(moe.shared_ffn_dim, ranks, 4);
  moe.min_capacity = std::min<int64_t>(moe.min_capacity, 1);
  shrink_group(model.seq_len, small_seq_len, moe.group);
}

}  // namespace

int64_t sequences_together(const ModelConfig& model) {
  int64_t together = 1;
  for (const auto& moe : model.moe) {
    if (moe) together = std::lcm(together, sequences_together(moe->group, model.seq_len));
  }
  return together;
}

namespace {

void shrink_batch(int64_t ranks, EngineConfig& engine) {
  const int64_t micro_batches = engine.global_batch / engine.micro_batch;
  const int64_t together = sequences_together(engine.model);
  engine.micro_batch =
      std::min(engine.micro_batch, std::max<int64_t>(2, together) / together * together);
  engine.global_batch = engine.micro_batch * shrink_size(micro_batches, ranks, 2);
}

}  // namespace

int64_t shrink_size(int64_t n, int64_t limit, int64_t least) {
  int64_t kept = 1;
  for (int64_t d = 2; d <= std::min(limit, n); ++d) {
    if (n % d == 0) kept = std::lcm(kept, d);
  }
  int64_t best = n;
  for (int64_t d = 1; d * d <= n; ++d) {
    if (n % d != 0) continue;
    for (int64_t divisor : {d, n / d}) {
      if (divisor % kept == 0 && divisor >= least) best = std::min(best, divisor);
    }
  }
  return best;
}

EngineConfig shrink(const EngineConfig& engine, int ranks, int chunks) {
  EngineConfig small = engine;
  ModelConfig& model = small.model;
  shrink_batch(ranks, small);
  model.dim = std::min<int64_t>(model.dim, 16);
  model.head_dim = std::min<int64_t>(model.head_dim, 4);
  model.kv_heads = shrink_size(model.kv_heads, ranks, 1);
  model.heads = shrink_size(model.heads, ranks, 1);
  if (engine.model.kv_heads < engine.model.heads) {
    // Several query heads for one key head stay several.
    const int64_t ratio = engine.model.heads / engine.model.kv_heads;
    int64_t few = 2;
    while (ratio % few != 0) ++few;
    model.heads = std::lcm(model.heads, model.kv_heads * few);
  }
  model.ffn_dim = shrink_size(model.ffn_dim, ranks, 4);
  model.seq_len = shrink_size(model.seq_len, 2 * int64_t{ranks}, 8);
  if (model.window > 0) {
    model.window = std::max<int64_t>(1, model.window * model.seq_len / engine.model.seq_len);
  }
  model.vocab = shrink_vocabulary(model.vocab, ranks);
  for (auto& moe : model.moe) {
    if (moe) shrink_moe(engine.model, model.seq_len, ranks, *moe);
  }
  model.moe = keep_layers(model.moe, static_cast<size_t>(std::max(ranks, chunks)));
  model.layers = static_cast<int64_t>(model.moe.size());
  // Signals of like size from layer to layer: then rounding in bf16 stays within its bound.
  model.init_std = 0.1;
  small.lr = std::min(small.lr, 1e-3);
  small.clip = small.clip > 0 ? std::min(small.clip, 0.5) : 0.0;
  small.schedule = "constant";
  small.schedule_options = Options(schedule_fields("constant"));
  small.schedule_options.set("warmup", int64_t{0});
  return small;
}

}  // namespace troupe
