#include "parallel/checkpoint/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "core/base/error.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {
namespace {

constexpr int64_t kChunk = 1 << 18;  // elements

// Comments before the first key say where a configuration was written, not what it is.
std::string without_head(const std::string& config) {
  size_t begin = 0;
  while (begin < config.size() && config[begin] == '#') {
    const size_t end = config.find('\n', begin);
    begin = end == std::string::npos ? config.size() : end + 1;
  }
  return config.substr(begin);
}

double element(const std::vector<char>& bytes, DType dtype, int64_t index) {
  const auto as = [&](auto zero) {
    auto value = zero;
    std::memcpy(&value, bytes.data() + static_cast<size_t>(index) * sizeof(value), sizeof(value));
    return value;
  };
  switch (dtype) {
    case DType::f64:
      return as(double{});
    case DType::f32:
      return as(float{});
    case DType::bf16:
      return static_cast<float>(as(BF16{}));
    case DType::i64:
      return static_cast<double>(as(int64_t{}));
    case DType::i32:
      return as(int32_t{});
    case DType::u8:
      return as(uint8_t{});
  }
  return 0;
}

// Reads a tensor from front to back and checks its digest at the end.
class TensorStream {
 public:
  TensorStream(const Stored& file, const TensorInfo& info) : file_(file), info_(info) {}
  const std::vector<char>& next(const Box& piece) {
    buffer_.resize(static_cast<size_t>(volume(piece)) * size_of(info_.dtype));
    file_.read(info_, piece, reinterpret_cast<std::byte*>(buffer_.data()));
    hasher_.add(buffer_.data(), static_cast<int64_t>(buffer_.size()));
    return buffer_;
  }
  void finish() const {
    if (const Digest found = hasher_.digest(); found != info_.digest) file_.blame(info_, found);
  }

 private:
  const Stored& file_;
  const TensorInfo& info_;
  Hasher hasher_;
  std::vector<char> buffer_;
};

struct Measures {
  double largest = 0;  // max|a|
  double squares = 0;
  double absolute = 0;  // max|a-b|
  int64_t different = 0;
};

void add_pair(Measures& out, double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return;
  ++out.different;
  const double distance = std::abs(a - b);
  out.absolute = std::isnan(distance) ? std::numeric_limits<double>::infinity()
                                      : std::max(out.absolute, distance);
}

// `second` may be null: only A is measured.
Measures measure(const Stored& file_a, const TensorInfo& a, const Stored& file_b,
                 const TensorInfo* b) {
  Measures out;
  TensorStream first(file_a, a);
  TensorStream second(file_b, b == nullptr ? a : *b);
  // Pieces of as many elements of both, whatever their types.
  for_each_piece(a.shape, 1, kChunk, [&](const Box& piece) {
    const std::vector<char>& left = first.next(piece);
    const std::vector<char>* right = b == nullptr ? nullptr : &second.next(piece);
    const int64_t count = volume(piece);
    for (int64_t i = 0; i < count; ++i) {
      const double value = element(left, a.dtype, i);
      out.largest = std::max(out.largest, std::abs(value));
      out.squares += value * value;
      if (right != nullptr) add_pair(out, value, element(*right, b->dtype, i));
    }
  });
  first.finish();
  if (b != nullptr) second.finish();
  return out;
}

std::string folder_of(const std::string& name) { return name.substr(0, name.rfind('/') + 1); }

struct Folder {
  double squares = 0;
  int64_t elements = 0;
  double rms() const {
    return elements == 0 ? 0 : std::sqrt(squares / static_cast<double>(elements));
  }
};

std::vector<std::string> compare_scalars(const Info& a, const Info& b) {
  std::map<std::string, std::pair<std::string, std::string>> values;
  for (const StateScalar& scalar : a.scalars) values[scalar.name] = {text(scalar), "nothing"};
  for (const StateScalar& scalar : b.scalars) {
    auto [at, fresh] = values.try_emplace(scalar.name, "nothing", "");
    at->second.second = text(scalar);
  }
  std::vector<std::string> out;
  for (const auto& [name, pair] : values) {
    if (pair.first == pair.second) continue;
    out.push_back(fmt::format("{}: {} and {}", name, pair.first, pair.second));
  }
  return out;
}

}  // namespace

const TensorDifference* Comparison::largest() const {
  const TensorDifference* out = nullptr;
  for (const TensorDifference& tensor : tensors) {
    if (tensor.problem.empty() && (out == nullptr || tensor.relative > out->relative)) {
      out = &tensor;
    }
  }
  return out;
}

Comparison compare(const std::string& path_a, const std::string& path_b) {
  const Info a = read_info(path_a);
  const Info b = read_info(path_b);
  const Stored file_a(path_a);
  const Stored file_b(path_b);
  Comparison out;
  out.config_differs = without_head(a.config) != without_head(b.config);
  out.scalars = compare_scalars(a, b);
  std::map<std::string, TensorDifference> differing;
  std::map<std::string, Measures> measured;
  std::map<std::string, Folder> folders;
  for (const TensorInfo& tensor : a.tensors) {
    const TensorInfo& mine = *file_a.find(tensor.name);
    const TensorInfo* theirs = file_b.find(tensor.name);
    TensorDifference difference;
    difference.name = tensor.name;
    if (theirs == nullptr) {
      difference.problem = "only in A";
    } else if (theirs->shape != mine.shape) {
      difference.problem =
          fmt::format("shape {} in A, {} in B", mine.shape.text(), theirs->shape.text());
    } else {
      ++out.compared;
    }
    const bool same = theirs != nullptr && theirs->dtype == mine.dtype &&
                      theirs->digest == mine.digest && difference.problem.empty();
    const bool values = theirs != nullptr && difference.problem.empty() && !same;
    const Measures found = measure(file_a, mine, file_b, values ? theirs : nullptr);
    Folder& folder = folders[folder_of(tensor.name)];
    folder.squares += found.squares;
    folder.elements += tensor.shape.elements();
    measured[tensor.name] = found;
    if (values && found.different == 0 && theirs->dtype == mine.dtype) {
      difference.problem = "other bits, equal values (signs of zero, kinds of NaN)";
    }
    if (!difference.problem.empty() || found.different > 0) differing[tensor.name] = difference;
  }
  for (const TensorInfo& tensor : b.tensors) {
    if (file_a.find(tensor.name) != nullptr) continue;
    differing[tensor.name].name = tensor.name;
    differing[tensor.name].problem = "only in B";
  }
  for (auto& [name, difference] : differing) {
    if (difference.problem.empty()) {
      const Measures& found = measured[name];
      const double scale = std::max(found.largest, 1e-3 * folders[folder_of(name)].rms());
      difference.absolute = found.absolute;
      difference.elements = found.different;
      difference.relative =
          scale > 0 ? found.absolute / scale : std::numeric_limits<double>::infinity();
    }
    out.tensors.push_back(difference);
  }
  return out;
}

}  // namespace troupe::checkpoint
