// What happens to bytes of a text that are no UTF-8: they are counted, and kept, replaced or
// refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text/text_options.h"

namespace troupe {

class Utf8Gate {
 public:
  // place: the file, in errors.
  Utf8Gate(const TextOptions& options, std::string place)
      : options_(options), place_(std::move(place)) {}

  // A piece of the text as it goes on, valid until the next call. Pieces begin and end between
  // characters. With `error` the first invalid byte: ExitCode::data with byte and line.
  std::string_view pass(std::string_view piece);
  // More than 1 % of `total` bytes of text are invalid, and that was not chosen: ExitCode::data.
  void check_share(int64_t total) const;

  int64_t bytes() const { return bytes_; }      // that came
  int64_t invalid() const { return invalid_; }  // of them; each such sequence becomes one U+FFFD

 private:
  const TextOptions& options_;
  std::string place_;
  std::string replaced_;
  int64_t bytes_ = 0;
  int64_t lines_ = 0;
  int64_t invalid_ = 0;
  int64_t controls_ = 0;  // bytes below 9 among what came with invalid ones: no text at all
};

}  // namespace troupe
