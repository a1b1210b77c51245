#include "launch/bench/generate_bench.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/cpu/memory_rate.h"
#include "launch/bench/median.h"
#include "models/families/lookup/configured_model.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

int64_t bytes_of(const Parameter& parameter) {
  return parameter.layout().global.elements() * static_cast<int64_t>(size_of(parameter.compute()));
}

// Bytes of one expert of each MoE layer, of what every token reads, and of all weights.
struct WeightBytes {
  std::vector<int64_t> expert;
  int64_t common = 0;
  int64_t all = 0;
};

WeightBytes weight_bytes(Model& model) {
  WeightBytes out;
  for (MoELayer* layer : model.moe_layers()) {
    int64_t bytes = 0;
    layer->parameters([&](Parameter& parameter) {
      if (parameter.layout().mesh == MeshKind::experts) bytes += bytes_of(parameter);
    });
    out.expert.push_back(bytes / layer->config().experts);
  }
  for (Parameter* parameter : model.parameters()) {
    out.all += bytes_of(*parameter);
    if (parameter->layout().mesh != MeshKind::experts) out.common += bytes_of(*parameter);
  }
  // Of a table that no product reads (an embedding, positions) a token reads one row.
  for (const ParameterSpec& spec : model_parameters(model.config(), Parallelism())) {
    if (spec.role != ParameterRole::table || spec.in_products) continue;
    const Shape& shape = spec.layout.global;
    const int64_t others = (shape[0] - 1) * shape[1] * static_cast<int64_t>(size_of(spec.compute));
    out.common -= others;
    out.all -= others;
  }
  return out;
}

std::vector<int32_t> drawn(int64_t first, int64_t count, int64_t vocab) {
  const Random random(1, "bench tokens");
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<int32_t>(
        random.below(static_cast<uint64_t>(first + i), static_cast<uint64_t>(vocab))));
  }
  return ids;
}

// One repetition: seconds of the tokens behind the prompt.
double timed_tokens(Model& model, int64_t prompt, int64_t tokens, int64_t repetition) {
  ModelCache cache = model.make_cache(prompt + tokens);
  const std::vector<int32_t> ids =
      drawn(repetition * (prompt + tokens), prompt + tokens, model.config().vocab);
  model.decode({ids.begin(), ids.begin() + prompt}, cache);
  const auto begin = Clock::now();
  for (int64_t i = prompt; i < prompt + tokens; ++i) {
    model.decode({ids[static_cast<size_t>(i)]}, cache);
  }
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Mean bytes of the experts that a token was sent to, over all layers.
double expert_bytes(Model& model, const WeightBytes& weights, int64_t prompt, int64_t tokens) {
  ModelCache cache = model.make_cache(prompt + tokens);
  const std::vector<int32_t> ids = drawn(0, prompt + tokens, model.config().vocab);
  model.decode({ids.begin(), ids.begin() + prompt}, cache);
  double bytes = 0;
  for (int64_t i = prompt; i < prompt + tokens; ++i) {
    std::vector<RoutingRecord> routing;
    model.decode({ids[static_cast<size_t>(i)]}, cache, &routing);
    for (size_t layer = 0; layer < routing.size(); ++layer) {
      const std::vector<int64_t>& kept = routing[layer].stats.kept;
      const auto touched = std::count_if(kept.begin(), kept.end(), [](int64_t n) { return n > 0; });
      bytes += static_cast<double>(touched * weights.expert[layer]);
    }
  }
  return bytes / static_cast<double>(tokens);
}

}  // namespace

GenerateBench bench_generate(Model& model, Stream& stream, int64_t tokens, int64_t repeats) {
  const ModelConfig& config = model.config();
  require(tokens >= 1 && repeats >= 1, "bench of {} tokens, {} times", tokens, repeats);
  GenerateBench out;
  out.prompt_tokens = std::max<int64_t>(config.seq_len / 4, 1);
  out.tokens = std::min(tokens, config.seq_len - out.prompt_tokens);
  if (out.tokens < 1) {
    fail(ExitCode::usage, "bench generate needs model.seq_len of 2 or more, it is {}",
         config.seq_len);
  }
  const WeightBytes weights = weight_bytes(model);
  out.model_bytes = weights.all;
  const auto read_rate = [&] {
    return kernels::cpu::read_rate(stream, std::max<int64_t>(out.model_bytes, 4096));
  };
  const double before = read_rate();
  timed_tokens(model, out.prompt_tokens, out.tokens, 0);
  std::vector<double> rates;
  for (int64_t i = 1; i <= repeats; ++i) {
    rates.push_back(static_cast<double>(out.tokens) /
                    timed_tokens(model, out.prompt_tokens, out.tokens, i));
  }
  const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  out.tokens_per_s_min = *least;
  out.tokens_per_s_max = *most;
  out.tokens_per_s = median(rates);

  out.weight_bytes = static_cast<double>(weights.common) +
                     expert_bytes(model, weights, out.prompt_tokens, out.tokens);
  double seen = static_cast<double>(out.prompt_tokens) + static_cast<double>(out.tokens + 1) / 2;
  if (config.window > 0) seen = std::min(seen, static_cast<double>(config.window));
  out.cache_bytes = seen *
                    static_cast<double>(2 * config.layers * config.kv_heads * config.head_dim) *
                    static_cast<double>(size_of(config.compute));
  out.read_rate = std::max(before, read_rate());
  out.bound_tokens_per_s = out.read_rate / (out.weight_bytes + out.cache_bytes);
  out.bound_fraction = out.tokens_per_s / out.bound_tokens_per_s;
  return out;
}

}  // namespace troupe
