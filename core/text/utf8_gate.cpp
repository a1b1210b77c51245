#include "core/text/utf8_gate.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

int64_t count_controls(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return c >= 0 && c < 9; });
}

}  // namespace

std::string_view Utf8Gate::pass(std::string_view piece) {
  const bool replace = options_.invalid_utf8 == InvalidUtf8::replace;
  const int64_t before = bytes_;
  bytes_ += static_cast<int64_t>(piece.size());
  std::string_view rest = piece;
  size_t valid = utf8_valid_prefix(rest);
  if (valid == rest.size()) {
    if (options_.invalid_utf8 == InvalidUtf8::error)
      lines_ += std::count(piece.begin(), piece.end(), '\n');
    return piece;
  }
  if (options_.invalid_utf8 == InvalidUtf8::error)
    fail(ExitCode::data,
         "{}:{}: byte {} of the text (0x{:02x}) is no UTF-8; {} puts U+FFFD there, keep takes the "
         "bytes as they are",
         place_,
         lines_ + 1 + std::count(piece.begin(), piece.begin() + static_cast<int64_t>(valid), '\n'),
         before + static_cast<int64_t>(valid), static_cast<uint8_t>(piece[valid]),
         setting_name(options_.names, "invalid_utf8", "replace"));
  controls_ += count_controls(piece);
  replaced_.clear();
  while (!rest.empty()) {
    if (replace) replaced_ += rest.substr(0, valid);
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    const Utf8Step step = utf8_step(rest);
    invalid_ += static_cast<int64_t>(step.length);
    if (replace) replaced_ += "\xEF\xBF\xBD";
    rest.remove_prefix(step.length);
    valid = utf8_valid_prefix(rest);
  }
  return replace ? std::string_view(replaced_) : piece;
}

void Utf8Gate::check_share(int64_t total) const {
  if (options_.keep_anything || invalid_ * 100 <= total) return;
  fail(
      ExitCode::data,
      "{}: at least {} of its {} bytes are no UTF-8; it seems to be {}. {}, written out, takes the "
      "bytes as they are",
      place_, invalid_, total,
      controls_ * 100 > bytes_
          ? "binary data: take it out of the data"
          : "text in another encoding: make UTF-8 of it (iconv -f WINDOWS-1252 -t UTF-8 IN > OUT, "
            "with the encoding that it has)",
      setting_name(options_.names, "invalid_utf8", "keep"));
}

}  // namespace troupe
