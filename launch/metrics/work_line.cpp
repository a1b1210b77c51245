#include "launch/metrics/work_line.h"

#include <fmt/core.h>

#include <algorithm>

#include "launch/metrics/text.h"

namespace troupe {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kLine{10};

}  // namespace

WorkLine::WorkLine(std::FILE* out, bool live, Clock::time_point start)
    : out_(out), live_(live), start_(start), last_(start) {}

WorkLine::~WorkLine() {
  if (!live_ || !shown_) return;
  std::fputs("\r\x1b[K", out_);
  std::fflush(out_);
}

void WorkLine::show(const std::string& what, const std::string& of, int64_t done, int64_t total,
                    Clock::time_point now) {
  const Clock::duration gap = live_ ? Clock::duration(kRedraw) : Clock::duration(kLine);
  if (now - last_ < gap) return;
  last_ = now;
  shown_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(std::max<int64_t>(total, 1));
  std::string text = fmt::format("{} {:.0f} % of {}", what, 100 * share, of);
  const double spent = std::chrono::duration<double>(now - start_).count();
  if (share > 0) text += fmt::format(", {} left", duration_text(spent * (1 - share) / share));
  // Not by fmt, which throws where a terminal is gone.
  std::fputs((live_ ? redrawn_line(text) : text + "\n").c_str(), out_);
  std::fflush(out_);
}

}  // namespace troupe
