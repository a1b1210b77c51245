// Who holds, writes and reads which part of each global tensor. Made from the ranks' boxes before
// anything is written, it proves that every element is written once and read once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/parameter/state.h"
#include "parallel/comm/communicator.h"

namespace troupe::checkpoint {

struct Part {
  Box box;
  std::vector<int> holders;  // ranks with this very box, ascending
};

// What one rank writes of a tensor.
struct Share {
  Box box;
  int writer = 0;
};

struct TensorPlan {
  std::string name;
  DType dtype = DType::f32;
  Shape global;
  std::vector<Part> parts;    // disjoint, not empty, together the whole tensor
  std::vector<Share> shares;  // disjoint, each inside a part of its writer, together the tensor
  int64_t bytes() const { return global.elements() * static_cast<int64_t>(size_of(dtype)); }
};

struct CoveragePlan {
  std::vector<TensorPlan> tensors;  // ordered by name
};

// A box that one rank says it holds of one tensor.
struct Claim {
  std::string name;
  DType dtype = DType::f32;
  Shape global;
  Box box;
};

// claims[rank], a name once for each box. Error(internal) names the tensor, ranks and boxes when a
// rank claims a box twice, ranks differ in shape or type, boxes overlap without being equal, or
// elements are missing. The work of writing is spread over the holders of each box: large boxes are
// cut among them, small ones go to the holder with the least so far.
CoveragePlan make_plan(const std::vector<std::vector<Claim>>& claims);

// This rank's parts of each tensor.
class LocalParts {
 public:
  explicit LocalParts(const State& state);
  // Null where this rank does not hold that very box.
  const StateTensor* find(const std::string& name, const Box& box) const;
  // The part that `box` lies in; null where this rank holds none.
  const StateTensor* around(const std::string& name, const Box& box) const;
  // Elements of a tensor that this rank holds.
  int64_t elements(const std::string& name) const;

 private:
  std::map<std::string, std::vector<const StateTensor*>> by_name_;
};

// Collective: the same plan on every rank. Also checks that all ranks have the same names of
// scalars, and the same values when `same_values`.
CoveragePlan gather_plan(const State& state, bool same_values, Communicator& world);

}  // namespace troupe::checkpoint
