// Run directories with made-up but realistic logs.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "launch/metrics/run_log.h"
#include "tests/launch/run_dir.h"

namespace troupe::testing {

struct SyntheticRun {
  int64_t rows = 150;
  int64_t every = 10;
  int64_t layers = 4;  // 0: dense
  int64_t experts = 8;
  double final_loss = 1.55;
  double skew = 0.25;        // of the expert loads at the end
  int64_t dead_expert = -1;  // of layer 2, from the middle of the run on
  double dropped = 0.0;
  double speed = 48000;
  uint64_t seed = 1;
};

inline StepMetrics synthetic_row(const SyntheticRun& run, int64_t index) {
  const Random random(run.seed, "test", "rows");
  const auto noise = [&](uint64_t lane) {
    return random.normal(static_cast<uint64_t>(index), lane);
  };
  StepMetrics m;
  m.step = (index + 1) * run.every;
  m.tokens = m.step * 8192;
  const double progress = static_cast<double>(index + 1) / static_cast<double>(run.rows);
  const double falling = std::exp(-9 * progress) * 2.2 + 0.9 * std::exp(-2.2 * progress);
  m.loss = run.final_loss - 0.1 + falling + 0.025 * noise(0);
  if (m.step % (20 * run.every) == 0 || index + 1 == run.rows) {
    m.val_loss = run.final_loss + falling * 0.97 + 0.004 * noise(1);
  }
  const double warm = std::min(
      1.0, static_cast<double>(m.step) / (0.07 * static_cast<double>(run.rows * run.every)));
  m.lr = 1e-3 * warm * (0.55 + 0.45 * std::cos(3.14159 * progress));
  m.grad_norm = (0.6 + 2.5 * std::exp(-12 * progress)) * std::exp(0.15 * noise(2));
  if (index == run.rows * 2 / 3) m.grad_norm *= 6;
  m.tokens_per_s = run.speed * (1 + 0.015 * noise(3)) * (index == 0 ? 0.6 : 1);
  m.step_ms = 8192e3 / m.tokens_per_s;
  m.gemm_fraction = 0.61 * m.tokens_per_s / run.speed;
  m.phase_ms = {0.26 * m.step_ms, 0.49 * m.step_ms,  0.04 * m.step_ms,
                0.06 * m.step_ms, 0.105 * m.step_ms, 0.01 * m.step_ms};
  m.mem_peak_bytes = 431'000'000;
  if (run.layers == 0) return m;
  m.balance_loss = 0.01 * (1.02 + 0.5 * std::exp(-10 * progress));
  m.z_loss = 0.001 * (0.3 + 2 * std::exp(-6 * progress));
  m.dropped_fraction = run.dropped * (0.4 + 2 * std::exp(-8 * progress)) * std::exp(0.1 * noise(4));
  m.dead_experts = run.dead_expert >= 0 && progress > 0.5 ? 1 : 0;
  m.router_entropy =
      std::log(static_cast<double>(run.experts)) * (0.55 + 0.4 * std::exp(-5 * progress));
  return m;
}

inline std::vector<int64_t> synthetic_counts(const SyntheticRun& run, int64_t index) {
  const Random random(run.seed, "test", "loads");
  const double progress = static_cast<double>(index + 1) / static_cast<double>(run.rows);
  std::vector<int64_t> counts;
  for (int64_t layer = 0; layer < run.layers; ++layer) {
    std::vector<double> weights;
    double sum = 0;
    for (int64_t e = 0; e < run.experts; ++e) {
      const auto who = static_cast<uint64_t>(layer * run.experts + e);
      const double taste = random.normal(who, 1);
      const double early = random.normal(who, 2);
      const double jitter = random.normal(who * 100000 + static_cast<uint64_t>(index), 3);
      double w = std::exp(run.skew * taste + 1.1 * early * std::exp(-9 * progress) + 0.05 * jitter);
      if (layer == 2 && e == run.dead_expert && progress > 0.5) w = 0;
      weights.push_back(w);
      sum += w;
    }
    for (const double w : weights) counts.push_back(std::llround(16384 * w / sum));
  }
  return counts;
}

// Writes the logs and a configuration into `dir`, which is made.
inline void write_synthetic_run(const std::filesystem::path& dir, const SyntheticRun& run) {
  std::filesystem::create_directories(dir);
  std::vector<ExpertLayer> layers;
  for (int64_t i = 0; i < run.layers; ++i) layers.push_back({i, run.experts});
  RunLog log(dir, 0, layers, /*tensorboard=*/false);
  for (int64_t index = 0; index < run.rows; ++index) {
    StepMetrics m = synthetic_row(run, index);
    const auto counts = synthetic_counts(run, index);
    for (int64_t layer = 0; layer < run.layers; ++layer) {
      int64_t most = 0, sum = 0;
      for (int64_t e = 0; e < run.experts; ++e) {
        const int64_t count = counts[static_cast<size_t>(layer * run.experts + e)];
        most = std::max(most, count);
        sum += count;
      }
      const double ratio = static_cast<double>(most * run.experts) / static_cast<double>(sum);
      m.load_max_over_mean = std::max(m.load_max_over_mean, ratio);
    }
    if (run.layers > 0) m.rank_load_max_over_mean = 1 + 0.3 * (m.load_max_over_mean - 1);
    log.append(m, counts);
  }
  write_text(dir / "config.resolved.yaml",
             "version: 1\nrun:\n  name: shakespeare  # given\n  seed: 1234\nmodel:\n  layers: 4\n"
             "  dim: 192\nmoe:\n  experts: 8\n  router: {type: topk, top_k: 2}\n");
}

}  // namespace troupe::testing
