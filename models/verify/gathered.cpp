#include "models/verify/gathered.h"

#include <algorithm>
#include <map>
#include <span>
#include <sstream>

#include "core/base/error.h"

namespace troupe::laws {
namespace {

// Elements that one sum over the ranks may hold.
constexpr int64_t kBatch = int64_t{1} << 22;

struct Listed {
  std::string name;
  int64_t elements = 0;
};

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}

// What all ranks list, each name once.
std::vector<Listed> listed(const State& state, const std::string& prefix, Communicator& world,
                           const std::shared_ptr<Device>& device) {
  std::string own;
  std::string last;
  for (const StateTensor& tensor : state.tensors) {
    if (!starts_with(tensor.name, prefix) || tensor.name == last) continue;
    last = tensor.name;
    own += tensor.name + " " + std::to_string(tensor.layout.global.elements()) + "\n";
  }
  std::vector<Listed> list;
  std::map<std::string, int64_t> seen;
  for (const auto& bytes : gather_bytes({own.begin(), own.end()}, world, device)) {
    std::istringstream lines(std::string(bytes.begin(), bytes.end()));
    Listed entry;
    while (lines >> entry.name >> entry.elements) {
      const auto [at, fresh] = seen.emplace(entry.name, entry.elements);
      require(at->second == entry.elements, "{} has {} elements on one rank and {} on another",
              entry.name, at->second, entry.elements);
      if (fresh) list.push_back(entry);
    }
  }
  return list;
}

// Adds a box of a tensor, and one to the count of each of its elements.
void add_box(const StateTensor& part, double* sum, double* count) {
  const std::vector<double> values = part.tensor.values();
  const Shape strides = contiguous_strides(part.layout.global);
  const Shape& size = part.box.size;
  for (int64_t i = 0; i < size.elements(); ++i) {
    int64_t rest = i;
    int64_t global = 0;
    for (int dim = size.rank() - 1; dim >= 0; --dim) {
      global += (part.box.offset[dim] + rest % size[dim]) * strides[dim];
      rest /= size[dim];
    }
    sum[global] += values[static_cast<size_t>(i)];
    count[global] += 1.0;
  }
}

// The tensors [begin, end) of the list, summed over the ranks in one go.
void gather_batch(const State& state, const std::string& prefix, std::span<const Listed> batch,
                  Communicator& world, std::vector<NamedTensor>& out) {
  std::map<std::string, int64_t> begin;
  int64_t total = 0;
  for (const Listed& entry : batch) {
    begin[entry.name] = total;
    total += entry.elements;
  }
  std::vector<double> sums(static_cast<size_t>(2 * total), 0.0);
  double* sum = sums.data();
  for (const StateTensor& part : state.tensors) {
    const auto found = begin.find(part.name);
    if (found != begin.end()) add_box(part, sum + found->second, sum + total + found->second);
  }
  world.all_reduce_sum({sum, DType::f64, {2 * total}, {1}}, "whole tensors").finish();
  for (const Listed& entry : batch) {
    NamedTensor named{entry.name.substr(prefix.size()), {}};
    for (int64_t i = begin[entry.name]; i < begin[entry.name] + entry.elements; ++i)
      named.values.push_back(sum[i] / sum[total + i]);
    out.push_back(std::move(named));
  }
}

}  // namespace

std::vector<std::vector<uint8_t>> gather_bytes(const std::vector<uint8_t>& own, Communicator& world,
                                               const std::shared_ptr<Device>& device) {
  const Tensor size =
      Tensor::from(std::vector<int64_t>{static_cast<int64_t>(own.size())}, {1}, device);
  const Tensor sizes = Tensor::empty({world.size()}, DType::i64, device);
  world.all_gather(size.view(), sizes.view(), "sizes").finish();
  const std::vector<int64_t> counts = sizes.integers();
  const int64_t longest = *std::max_element(counts.begin(), counts.end());
  std::vector<std::vector<uint8_t>> out(counts.size());
  if (longest == 0) return out;
  std::vector<uint8_t> in = own;
  in.resize(static_cast<size_t>(longest), 0);
  const int64_t all_bytes = longest * world.size();
  std::vector<uint8_t> all(static_cast<size_t>(all_bytes));
  world
      .all_gather({in.data(), DType::u8, {longest}, {1}}, {all.data(), DType::u8, {all_bytes}, {1}},
                  "bytes")
      .finish();
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    const auto* from = all.data() + static_cast<int64_t>(rank) * longest;
    out[rank].assign(from, from + counts[rank]);
  }
  return out;
}

std::vector<NamedTensor> gather_whole(const State& state, const std::string& prefix,
                                      Communicator& world, const std::shared_ptr<Device>& device) {
  const std::vector<Listed> list = listed(state, prefix, world, device);
  std::vector<NamedTensor> out;
  size_t begin = 0;
  while (begin < list.size()) {
    size_t end = begin;
    int64_t elements = 0;
    do {
      elements += list[end++].elements;
    } while (end < list.size() && elements + list[end].elements <= kBatch);
    gather_batch(state, prefix, std::span(list).subspan(begin, end - begin), world, out);
    begin = end;
  }
  return out;
}

}  // namespace troupe::laws
