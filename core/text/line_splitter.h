// Lines out of pieces of a text. A line inside one piece is not copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

class LineSplitter {
 public:
  // Calls take(line) for each line that ends in this piece, without its end.
  template <typename Take>
  void push(std::string_view piece, const Take& take) {
    for (size_t end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
      ++number_;
      if (begun_.empty()) {
        take(piece.substr(0, end));
      } else {
        begun_ += piece.substr(0, end);
        take(std::string_view(begun_));
        begun_.clear();
      }
      piece.remove_prefix(end + 1);
    }
    begun_ += piece;
  }
  // The last line, if the text does not end with the end of one.
  template <typename Take>
  void finish(const Take& take) {
    if (begun_.empty()) return;
    ++number_;
    take(std::string_view(begun_));
    begun_.clear();
  }
  int64_t number() const { return number_; }  // of the line that take() gets, from 1

 private:
  std::string begun_;  // a line whose end has not come
  int64_t number_ = 0;
};

}  // namespace troupe
