// Lines, or rows with another end, out of pieces of a text. One inside a single piece is not
// copied.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

class LineSplitter {
 public:
  explicit LineSplitter(char end = '\n') : end_(end) {}

  // Calls take(line) for each line that ends in this piece, without its end.
  template <typename Take>
  void push(std::string_view piece, const Take& take) {
    for (size_t end = piece.find(end_); end != std::string_view::npos; end = piece.find(end_)) {
      if (begun_.empty()) {
        hand(piece.substr(0, end), take);
      } else {
        begun_ += piece.substr(0, end);
        hand(begun_, take);
        begun_.clear();
      }
      if (end_ == '\n') ++number_;
      piece.remove_prefix(end + 1);
    }
    begun_ += piece;
  }
  // The last line, if the text does not end with the end of one.
  template <typename Take>
  void finish(const Take& take) {
    if (begun_.empty()) return;
    hand(begun_, take);
    begun_.clear();
  }
  // Of the text's line in which the one that take() gets begins, from 1.
  int64_t number() const { return number_; }

 private:
  template <typename Take>
  void hand(std::string_view line, const Take& take) {
    take(line);
    if (end_ != '\n') number_ += std::count(line.begin(), line.end(), '\n');
  }

  char end_;
  std::string begun_;  // a line whose end has not come
  int64_t number_ = 1;
};

}  // namespace troupe
