// Which numbers of a tensor here are which of a tensor of another program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

struct TensorLink {
  std::string ours;
  int64_t first = 0;  // its elements [first, first + count), row-major
  int64_t count = 0;
  std::string theirs;
  std::vector<int64_t> their_shape;
  // The same numbers in the same order from this element of theirs on; or, turned, column
  // their_first and those behind it of a matrix [in, out], as rows of `columns` elements.
  int64_t their_first = 0;
  bool turned = false;
  int64_t columns = 0;  // in, of a turned one
};

// Lists links of one family of models.
class LinkList {
 public:
  // The whole of both.
  void whole(const std::string& ours, const std::string& theirs, std::vector<int64_t> shape);
  // Elements [first, first + count of shape) of ours and the whole of theirs.
  void part(const std::string& ours, int64_t first, const std::string& theirs,
            std::vector<int64_t> shape);
  // Ours [out, in] and columns [column, column + out) of theirs [in, total].
  void turned(const std::string& ours, int64_t out, int64_t in, const std::string& theirs,
              int64_t total, int64_t column = 0);
  // Ours [count] and elements [first, first + count) of theirs [total].
  void slice(const std::string& ours, int64_t count, const std::string& theirs, int64_t total,
             int64_t first);
  std::vector<TensorLink> take() { return std::move(links_); }

 private:
  std::vector<TensorLink> links_;
};

}  // namespace troupe
