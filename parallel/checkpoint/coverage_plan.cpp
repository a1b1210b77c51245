#include "parallel/checkpoint/coverage_plan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "core/base/error.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/comm/agreement.h"

namespace troupe::checkpoint {
namespace {

void add_claim(TensorPlan& plan, const Claim& claim, int rank) {
  require(plan.dtype == claim.dtype && plan.global == claim.global,
          "checkpoint: {} is {} {} on rank {}, but {} {} on a lower rank", claim.name,
          name(claim.dtype), claim.global.text(), rank, name(plan.dtype), plan.global.text());
  require(inside(claim.box, claim.global), "checkpoint: rank {} holds {} of {}, which has shape {}",
          rank, text(claim.box), claim.name, claim.global.text());
  if (volume(claim.box) == 0) return;
  for (Part& part : plan.parts) {
    if (part.box == claim.box) {
      require(part.holders.back() != rank, "checkpoint: rank {} lists {} of {} twice", rank,
              text(claim.box), claim.name);
      part.holders.push_back(rank);
      return;
    }
    require(!intersection(part.box, claim.box),
            "checkpoint: {} would be written twice: {} by rank {} and {} by rank {}", claim.name,
            text(part.box), part.holders.front(), text(claim.box), rank);
  }
  plan.parts.push_back({claim.box, {rank}});
}

// A box below this is written by one rank.
constexpr int64_t kCutBytes = 256 << 10;

// Who writes what. The same on every rank: only sizes and rank numbers decide.
class Assigner {
 public:
  explicit Assigner(size_t ranks) : given_(ranks, 0) {}

  void assign(TensorPlan& tensor) {
    const auto element = static_cast<int64_t>(size_of(tensor.dtype));
    int64_t written = 0;
    for (const Part& part : tensor.parts) {
      const auto holders = static_cast<int>(part.holders.size());
      const bool cut = holders > 1 && volume(part.box) * element >= kCutBytes;
      const std::vector<Box> boxes = cut ? cut_evenly(part.box, holders) : std::vector{part.box};
      for (size_t i = 0; i < boxes.size(); ++i) {
        const int writer = boxes.size() > 1 ? part.holders[i] : least_busy(part.holders);
        given_[static_cast<size_t>(writer)] += volume(boxes[i]) * element;
        written += volume(boxes[i]);
        tensor.shares.push_back({boxes[i], writer});
      }
    }
    require(written == tensor.global.elements(),
            "checkpoint: {} of {} elements of {} would be written", written,
            tensor.global.elements(), tensor.name);
  }

 private:
  int least_busy(const std::vector<int>& holders) const {
    return *std::min_element(holders.begin(), holders.end(), [&](int a, int b) {
      return given_[static_cast<size_t>(a)] < given_[static_cast<size_t>(b)];
    });
  }
  std::vector<int64_t> given_;  // bytes per rank
};

// Numbers and names as bytes, for the exchange of claims.
class Packer {
 public:
  void number(int64_t value) { out_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  void name(const std::string& value) {
    number(static_cast<int64_t>(value.size()));
    out_ += value;
  }
  void shape(const Shape& value) {
    number(value.rank());
    for (const int64_t size : value) number(size);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class Unpacker {
 public:
  explicit Unpacker(std::string_view in) : in_(in) {}
  bool done() const { return in_.empty(); }
  int64_t number() {
    int64_t value = 0;
    require(in_.size() >= sizeof(value), "checkpoint: a table of claims ends early");
    std::memcpy(&value, in_.data(), sizeof(value));
    in_.remove_prefix(sizeof(value));
    return value;
  }
  std::string name() {
    const auto size = static_cast<size_t>(number());
    require(size <= in_.size(), "checkpoint: a table of claims ends early");
    std::string out(in_.substr(0, size));
    in_.remove_prefix(size);
    return out;
  }
  Shape shape() {
    Shape out;
    for (int64_t left = number(); left > 0; --left) out.append(number());
    return out;
  }

 private:
  std::string_view in_;
};

std::string pack_claims(const State& state) {
  Packer packer;
  for (const StateTensor& entry : state.tensors) {
    packer.name(entry.name);
    packer.number(static_cast<int64_t>(entry.tensor.dtype()));
    packer.shape(entry.layout.global);
    packer.shape(entry.box.offset);
    packer.shape(entry.box.size);
  }
  return packer.take();
}

std::vector<Claim> unpack_claims(std::string_view bytes) {
  std::vector<Claim> out;
  Unpacker unpacker(bytes);
  while (!unpacker.done()) {
    Claim claim;
    claim.name = unpacker.name();
    claim.dtype = static_cast<DType>(unpacker.number());
    claim.global = unpacker.shape();
    claim.box.offset = unpacker.shape();
    claim.box.size = unpacker.shape();
    out.push_back(std::move(claim));
  }
  return out;
}

std::string pack_scalars(const State& state, bool values) {
  Packer packer;
  for (const StateScalar& scalar : state.scalars) {
    packer.name(scalar.name);
    packer.number(static_cast<int64_t>(scalar.value.index()));
    if (!values) continue;
    if (const auto* integer = std::get_if<int64_t>(&scalar.value)) packer.number(*integer);
    if (const auto* real = std::get_if<double>(&scalar.value)) {
      packer.number(std::bit_cast<int64_t>(*real));
    }
    if (const auto* words = std::get_if<std::string>(&scalar.value)) packer.name(*words);
  }
  return packer.take();
}

void check_local(const State& state) {
  for (const StateTensor& entry : state.tensors) {
    require(entry.tensor.defined() && entry.tensor.shape() == entry.box.size,
            "checkpoint: the tensor of {} is not a {}", entry.name, entry.box.size.text());
  }
}

}  // namespace

CoveragePlan make_plan(const std::vector<std::vector<Claim>>& claims) {
  std::map<std::string, TensorPlan> by_name;
  for (size_t rank = 0; rank < claims.size(); ++rank) {
    for (const Claim& claim : claims[rank]) {
      auto [at, fresh] = by_name.try_emplace(claim.name);
      if (fresh) at->second = {claim.name, claim.dtype, claim.global, {}, {}};
      add_claim(at->second, claim, static_cast<int>(rank));
    }
  }
  CoveragePlan plan;
  Assigner assigner(claims.size());
  for (auto& [tensor, entry] : by_name) {
    int64_t covered = 0;
    for (const Part& part : entry.parts) covered += volume(part.box);
    require(covered == entry.global.elements(),
            "checkpoint: {} of {} elements of {} are held by no rank",
            entry.global.elements() - covered, entry.global.elements(), tensor);
    assigner.assign(entry);
    plan.tensors.push_back(std::move(entry));
  }
  return plan;
}

LocalParts::LocalParts(const State& state) {
  for (const StateTensor& entry : state.tensors) by_name_[entry.name].push_back(&entry);
}

const StateTensor* LocalParts::find(const std::string& name, const Box& box) const {
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) return nullptr;
  for (const StateTensor* entry : at->second) {
    if (entry->box == box) return entry;
  }
  return nullptr;
}

const StateTensor* LocalParts::around(const std::string& name, const Box& box) const {
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) return nullptr;
  for (const StateTensor* entry : at->second) {
    if (intersection(entry->box, box) == box) return entry;
  }
  return nullptr;
}

int64_t LocalParts::elements(const std::string& name) const {
  const auto at = by_name_.find(name);
  int64_t sum = 0;
  if (at == by_name_.end()) return sum;
  for (const StateTensor* entry : at->second) sum += volume(entry->box);
  return sum;
}

CoveragePlan gather_plan(const State& state, bool same_values, Communicator& world) {
  agree(attempt([&] { check_local(state); }), world, "checkpoint claims");
  const std::vector<std::string> texts =
      gather_texts(pack_claims(state), world, "checkpoint claims");
  const std::vector<std::string> scalars =
      gather_texts(pack_scalars(state, same_values), world, "checkpoint scalars");
  // From here on every rank computes the same from the same bytes.
  for (size_t rank = 1; rank < scalars.size(); ++rank) {
    require(scalars[rank] == scalars[0], "checkpoint: rank {} has other scalars than rank 0", rank);
  }
  std::vector<std::vector<Claim>> claims;
  for (const std::string& bytes : texts) claims.push_back(unpack_claims(bytes));
  return make_plan(claims);
}

}  // namespace troupe::checkpoint
