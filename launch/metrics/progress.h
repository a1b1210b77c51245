// What a run shows on the console: a start banner, one live line on a terminal or plain lines
// elsewhere, an end table. The texts are pure functions of plain structs.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launch/metrics/step_metrics.h"

namespace troupe {

struct BannerInfo {
  std::string version;  // "troupe 0.1.0"
  std::string run_name;
  std::string run_dir;
  std::string model;  // one line: "decoder, 4 layers, dim 192, 8 experts top-2"
  std::string data;   // one line: "shakespeare.txt, 1.1 MB, bytes"; may be empty
  int64_t world_size = 1;
  std::string layout;        // "dp 2 x ep 2"
  std::string precision;     // "f32"
  std::string instructions;  // of the ranks' processors, as used: "avx512_bf16"
  int64_t parameters = 0;
  int64_t active_parameters = 0;
  int64_t tokens_per_step = 0;
  int64_t steps = 0;
  int64_t resume_step = 0;            // 0: starts anew
  std::string resume_from;            // checkpoint path if resume_step > 0
  int64_t memory_estimate_bytes = 0;  // heaviest rank, 0 if not known
  int64_t threads = 1;                // per rank
  std::vector<std::string> warnings;
};
std::string banner(const BannerInfo& info);

// State of the run for the live line; `moe` false leaves imbalance and drops out.
struct ProgressState {
  int64_t step = 0;
  int64_t total_steps = 0;
  double loss = 0;
  std::optional<double> val_loss;  // last one measured, after val_step
  int64_t val_step = 0;
  double tokens_per_s = 0;
  bool moe = true;
  double load_max_over_mean = 0;
  double dropped_fraction = 0;
  double grad_norm = 0;
  double lr = 0;
  double eta_s = -1;  // negative: not known yet
};
// At most `width` columns, least important fields dropped first; no line end. A val_loss of an
// earlier step is shown with that step.
std::string live_line(const ProgressState& state, int width);
// For people and programs: plain digits, and a val_loss only on the line of its own step.
std::string plain_line(const ProgressState& state);
struct EndInfo {
  // Rows as shown, in order: {"val_loss", "1.5712 nats/token"}; keys are aligned.
  std::vector<std::pair<std::string, std::string>> rows;
  std::vector<std::string> next_commands;
};
std::string end_table(const EndInfo& info);

// Draws the live line on a terminal (at most ten times a second), writes plain lines elsewhere.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  // automatic: live on a terminal, or where a parent that owns the terminal (mpirun hands ranks a
  // pipe) set TROUPE_LIVE_COLUMNS to its width; else lines. none: messages only.
  enum class Mode { automatic, lines, none };
  explicit Progress(std::FILE* out, Mode mode = Mode::automatic);
  // Whether a live line would be drawn there in mode automatic.
  static bool live_on(std::FILE* out);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // After every step: fills in the ETA from a trimmed mean of recent steps and redraws the live
  // line if a tenth of a second has passed. Writes nothing when there is no terminal.
  void step(ProgressState state, Clock::time_point now = Clock::now());
  // At a logged step: one plain line where there is no live line; else its values are shown live.
  void line(ProgressState state);
  // A lasting message; the live line makes room.
  void message(const std::string& text);
  // Wipes the live line, for others that write to the terminal; the next step redraws it.
  void clear();
  bool live() const { return live_; }

 private:
  void draw(Clock::time_point now);
  int columns() const;
  double eta_seconds(int64_t remaining) const;

  std::FILE* out_;
  Mode mode_;
  bool live_ = false;
  int fixed_columns_ = 0;  // of TROUPE_LIVE_COLUMNS
  bool shown_ = false;
  ProgressState state_;
  std::optional<Clock::time_point> drawn_at_;
  std::optional<Clock::time_point> last_step_at_;
  int64_t last_step_ = 0;
  std::deque<double> recent_s_;  // seconds a step, newest last
};

}  // namespace troupe
