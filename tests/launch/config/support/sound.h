// Shared by the tests of configurations.
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "launch/config/load.h"

namespace troupe {

// A small sound configuration.
inline const char* const kSound = R"(version: 1
run: {name: small, seed: 7}
model: {layers: 4, dim: 64, heads: 4, kv_heads: 2, seq_len: 32}
moe:
  experts: 8
  ffn_dim: 64
  router: {type: topk, top_k: 2}
  balance:
    - {type: switch, coef: 0.01}
data: {tokenizer: byte, train: text.txt}
train: {steps: 10, global_batch: 8, micro_batch: 2}
)";

inline RunConfig load(const std::vector<std::string>& overrides, int world = 1,
                      const std::string& text = kSound) {
  return load_config_text(text, "dir/small.yaml", overrides, world).config;
}

// The message of the refusal, or "" when the configuration is accepted.
inline std::string refusal(const std::vector<std::string>& overrides, int world = 1,
                           const std::string& text = kSound) {
  try {
    load(overrides, world, text);
  } catch (const Error& error) {
    if (error.code() != ExitCode::usage) return "wrong exit code: " + std::string(error.what());
    return error.what();
  }
  return {};
}

}  // namespace troupe
