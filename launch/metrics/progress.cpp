#include "launch/metrics/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "launch/metrics/text.h"

namespace troupe {
namespace {

struct Piece {
  int rank;  // the piece with the highest rank is left out first
  std::string text;
};

std::string bar(double fraction) {
  constexpr int kCells = 12;
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kCells);
  return fmt::format("[{:<{}}]", std::string(static_cast<size_t>(full), '='), kCells);
}

std::vector<Piece> pieces(const ProgressState& s, bool live) {
  std::vector<Piece> out;
  out.push_back({0, fmt::format("step {}/{}", s.step, s.total_steps)});
  if (live && s.total_steps > 0) {
    const double part = static_cast<double>(s.step) / static_cast<double>(s.total_steps);
    out.push_back({6, fmt::format("{} {:.0f}%", bar(part), std::clamp(part, 0.0, 1.0) * 100)});
  }
  out.push_back({1, "loss " + loss_number(s.loss)});
  if (s.val_loss && s.val_step == s.step) {
    out.push_back({7, "val " + loss_number(*s.val_loss)});
  } else if (s.val_loss && live) {
    out.push_back({7, fmt::format("val {} (step {})", loss_number(*s.val_loss), s.val_step)});
  }
  out.push_back({9, fmt::format("lr {:.2e}", s.lr)});
  out.push_back({8, fmt::format("|g| {}", short_text(s.grad_norm))});
  out.push_back({2, short_text(s.tokens_per_s) + " tok/s"});
  if (s.moe) {
    out.push_back({4, fmt::format("imbalance {:.2f}", s.load_max_over_mean)});
    out.push_back({5, fmt::format("drops {:.1f}%", 100 * s.dropped_fraction)});
  }
  if (s.eta_s >= 0) out.push_back({3, "ETA " + duration_text(s.eta_s)});
  return out;
}

bool is_terminal(std::FILE* out) {
  const char* terminal = std::getenv("TERM");
  return ::isatty(::fileno(out)) == 1 &&
         (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

// Of the terminal behind a pipe; 0 = not said.
int given_columns() {
  const char* columns = std::getenv("TROUPE_LIVE_COLUMNS");
  return columns != nullptr ? std::max(std::atoi(columns), 0) : 0;
}

std::string join(const std::vector<Piece>& list) {
  std::string out;
  for (const Piece& piece : list) {
    if (!out.empty()) out += "  ";
    out += piece.text;
  }
  return out;
}

}  // namespace

std::string live_line(const ProgressState& state, int width) {
  std::vector<Piece> list = pieces(state, /*live=*/true);
  const auto room = static_cast<size_t>(std::max(width, 0));
  std::string text = join(list);
  while (text.size() > room && list.size() > 1) {
    list.erase(std::max_element(list.begin(), list.end(),
                                [](const Piece& a, const Piece& b) { return a.rank < b.rank; }));
    text = join(list);
  }
  return text.substr(0, room);
}

std::string plain_line(const ProgressState& state) { return join(pieces(state, false)); }

bool Progress::live_on(std::FILE* out) { return is_terminal(out) || given_columns() > 0; }

Progress::Progress(std::FILE* out, Mode mode)
    : out_(out),
      mode_(mode),
      live_(mode == Mode::automatic && live_on(out)),
      fixed_columns_(is_terminal(out) ? 0 : given_columns()) {}

Progress::~Progress() { clear(); }

int Progress::columns() const {
  if (fixed_columns_ > 0) return fixed_columns_;
  struct winsize size {};
  if (::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

double Progress::eta_seconds(int64_t remaining) const {
  if (recent_s_.empty()) return -1;
  // Without the tenth at either end: a save or an evaluation is no measure of a step.
  std::vector<double> sorted(recent_s_.begin(), recent_s_.end());
  std::sort(sorted.begin(), sorted.end());
  const size_t trim = sorted.size() / 10;
  double sum = 0;
  for (size_t i = trim; i < sorted.size() - trim; ++i) sum += sorted[i];
  const double mean = sum / static_cast<double>(sorted.size() - 2 * trim);
  return mean * static_cast<double>(std::max<int64_t>(remaining, 0));
}

void Progress::step(ProgressState state, Clock::time_point now) {
  constexpr size_t kWindow = 200;
  constexpr auto kRedraw = std::chrono::milliseconds(100);
  if (last_step_at_ && state.step > last_step_) {
    const double spent = std::chrono::duration<double>(now - *last_step_at_).count();
    recent_s_.push_back(spent / static_cast<double>(state.step - last_step_));
    if (recent_s_.size() > kWindow) recent_s_.pop_front();
  }
  last_step_at_ = now;
  last_step_ = state.step;
  state_ = std::move(state);
  if (live_ && (!drawn_at_ || now - *drawn_at_ >= kRedraw)) draw(now);
}

void Progress::draw(Clock::time_point now) {
  if (state_.eta_s < 0) state_.eta_s = eta_seconds(state_.total_steps - state_.step);
  // One column stays free: a full row would wrap on some terminals.
  const std::string text = redrawn_line(live_line(state_, columns() - 1));
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
  shown_ = true;
  drawn_at_ = now;
}

void Progress::line(ProgressState state) {
  if (mode_ == Mode::none || live_) {
    state_ = std::move(state);
    return;
  }
  if (state.eta_s < 0) state.eta_s = eta_seconds(state.total_steps - state.step);
  std::fprintf(out_, "%s\n", plain_line(state).c_str());
  std::fflush(out_);
}

void Progress::message(const std::string& text) {
  clear();
  std::fprintf(out_, "%s\n", text.c_str());
  std::fflush(out_);
}

void Progress::clear() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", out_);
  std::fflush(out_);
  shown_ = false;
}

}  // namespace troupe
