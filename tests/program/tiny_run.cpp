#include "tests/program/tiny_run.h"

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = R"(version: 1
run: {name: tiny, dir: run, seed: 7}
model: {family: decoder, layers: 2, dim: 16, heads: 2, kv_heads: 1, ffn_dim: 32, seq_len: 16}
moe:
  layers: {first_dense: 1}
  experts: 4
  ffn_dim: 16
  router: {type: topk, top_k: 2}
  balance: [{type: switch, coef: 0.01}, {type: z, coef: 0.001}]
data: {tokenizer: byte, train: text.txt, val_fraction: 0.2}
optimizer: {type: adamw, lr: 3.0e-3}
schedule: {type: cosine, warmup: 4, min_ratio: 0.1}
train: {steps: 12, global_batch: 4, micro_batch: 1}
parallel: {dp: auto, ep: 1}
checkpoint: {every: 4, keep: 0, resume: auto}
eval: {every: 6, tokens: all}
logging: {every: 1, tensorboard: true}
runtime: {threads: 1, timeout: 60s}
)";

// Words drawn by a small generator: text with some structure, always the same.
std::string text_of(size_t bytes) {
  const std::vector<std::string> words{"the",   "actor",  "enters", "and",          "the",
                                       "king",  "speaks", "of",     "\u00e9toiles", "again",
                                       "while", "all",    "wait"};
  std::string text;
  uint64_t state = 12345;
  while (text.size() < bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    text += words[(state >> 33) % words.size()] + ((state >> 50) % 9 == 0 ? ".\n" : " ");
  }
  return text;
}

}  // namespace

void TinyRun::SetUp() {
  std::string pattern = "/tmp/troupe-tiny-XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  write_text(path("text.txt"), text_of(4000));
  write_text(path("tiny.yaml"), kConfig);
}

void TinyRun::TearDown() { fs::remove_all(folder_); }

std::vector<std::string> TinyRun::train(const std::string& name,
                                        const std::vector<std::string>& keys) const {
  std::vector<std::string> words{"train", path("tiny.yaml")};
  const auto add = [&](const std::string& word) {
    const std::string key = word.substr(0, word.find('=') + 1);
    for (std::string& earlier : words) {
      if (!key.empty() && earlier.rfind(key, 0) == 0) {
        earlier = word;
        return;
      }
    }
    words.push_back(word);
  };
  add("run.dir=" + path(name));
  for (const std::string& key : keys) add(key);
  return words;
}

std::string TinyRun::checkpoint(const std::string& name, int step) const {
  char file[64];
  std::snprintf(file, sizeof(file), "/checkpoints/step-%08d.h5", step);
  return path(name) + file;
}

void TinyRun::expect_equal(const std::string& a, const std::string& b, int step) const {
  ASSERT_TRUE(fs::exists(checkpoint(a, step))) << checkpoint(a, step);
  ASSERT_TRUE(fs::exists(checkpoint(b, step))) << checkpoint(b, step);
  for (int at = 1; at <= step; ++at) {
    const std::string first = checkpoint(a, at);
    const std::string second = checkpoint(b, at);
    if (!fs::exists(first) || !fs::exists(second)) continue;
    const Outcome diff = run(alone({"ckpt", "diff", first, second}));
    EXPECT_EQ(diff.code, 0) << "step " << at << "\n" << diff.out << diff.err;
  }
}

std::vector<nlohmann::json> TinyRun::rows(const std::string& name) const {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(read_text(path(name) + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json row = nlohmann::json::parse(line);
    for (const char* key :
         {"tokens_per_s", "step_ms", "gemm_fraction", "mem_peak_bytes", "phase_ms"}) {
      EXPECT_EQ(row.erase(key), 1U) << key;
    }
    rows.push_back(row);
  }
  return rows;
}

void TinyRun::expect_equal_rows(const std::string& a, const std::string& b, int steps) const {
  const std::vector<nlohmann::json> first = rows(a);
  const std::vector<nlohmann::json> second = rows(b);
  ASSERT_EQ(first.size(), static_cast<size_t>(steps)) << a;
  ASSERT_EQ(second.size(), static_cast<size_t>(steps)) << b;
  for (int i = 0; i < steps; ++i) {
    EXPECT_EQ(first[static_cast<size_t>(i)]["step"], i + 1);
    EXPECT_EQ(first[static_cast<size_t>(i)], second[static_cast<size_t>(i)]);
  }
}

}  // namespace troupe::program
