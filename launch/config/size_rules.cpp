#include "launch/config/size_rules.h"

#include <fmt/core.h>

#include <algorithm>

#include "moe/routers/table.h"

namespace troupe {
namespace {

// Far above any model of today, and low enough that all bytes of a rank (weights, their forms,
// gradients, moments, copies; values that all blocks keep) can be summed in 64 bits.
constexpr double kMaxParameters = 1e15;
constexpr double kMaxStepNumbers = 1e16;

// A product of sizes, and the factor of it that is blamed.
struct Product {
  const char* key;
  int64_t value;  // of the key
  const char* words;
  double count;
};

void check(const Product& product, double limit, const char* what, RuleList& rules) {
  if (product.count <= limit) return;
  const double most = static_cast<double>(product.value) * limit / product.count;
  rules.add(product.key, {"model", "moe", "train"},
            fmt::format("{} = {:.2g} {}, and at most {:.0e} can be counted", product.words,
                        product.count, what, limit),
            most >= 1 ? fmt::format("with the other sizes as they are at most {}",
                                    static_cast<int64_t>(most))
                      : std::string("lower the other sizes, too"));
}

// Rows that a token becomes in a layer with experts.
double rows_of_token(const MoEConfig& moe) {
  const int64_t choices = router_named(moe.router).choices(moe.router_options);
  return choices > 0 ? static_cast<double>(choices) : moe.capacity_factor.value_or(1.0);
}

}  // namespace

void check_sizes(const RunConfig& config, Purpose purpose, RuleList& rules) {
  const ModelConfig& model = config.model;
  const auto dim = static_cast<double>(model.dim);
  const auto head_dim = static_cast<double>(model.head_dim);
  const double heads = head_dim * static_cast<double>(model.heads + model.kv_heads);
  const auto layers = static_cast<double>(model.layers);
  double dense = 0.0;
  double experts = 0.0;
  double shared = 0.0;
  double widest = 0.0;  // numbers that a block keeps of a token
  const MoEConfig* last = nullptr;
  for (const auto& moe : model.moe) {
    if (!moe) {
      dense += 3 * dim * static_cast<double>(model.ffn_dim);
      widest = std::max(widest, static_cast<double>(model.ffn_dim));
      continue;
    }
    if (find_router(moe->router) == nullptr) continue;  // reported elsewhere
    last = &*moe;
    const auto count = static_cast<double>(moe->experts);
    const auto shared_width = static_cast<double>(moe->shared_experts * moe->shared_ffn_dim);
    const auto ffn = static_cast<double>(moe->ffn_dim);
    experts += 3 * count * dim * ffn;
    shared += 3 * dim * shared_width;
    widest = std::max(widest, count + shared_width + rows_of_token(*moe) * (dim + ffn));
  }
  const auto limit_parameters = [&](const Product& product) {
    check(product, kMaxParameters, "parameters", rules);
  };
  limit_parameters(
      {"model.vocab", model.vocab, "2 x vocab x dim", 2 * dim * static_cast<double>(model.vocab)});
  limit_parameters({"model.heads", model.heads, "2 x layers x dim x (heads + kv_heads) x head_dim",
                    2 * layers * dim * heads});
  limit_parameters({"model.ffn_dim", model.ffn_dim, "3 x dense layers x dim x ffn_dim", dense});
  if (last != nullptr) {
    limit_parameters({"moe.experts", last->experts,
                      "3 x layers with experts x experts x dim x moe.ffn_dim", experts});
    limit_parameters({"moe.shared_experts", last->shared_experts,
                      "3 x layers with experts x shared_experts x dim x shared_ffn_dim", shared});
  }
  if (purpose != Purpose::train) return;
  const double tokens =
      static_cast<double>(config.train.global_batch) * static_cast<double>(model.seq_len);
  check({"train.global_batch", config.train.global_batch,
         "global_batch x seq_len x layers x the width of a block",
         tokens * layers * (2 * dim + heads + widest)},
        kMaxStepNumbers, "numbers of a step", rules);
}

}  // namespace troupe
