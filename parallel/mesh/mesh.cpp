#include "parallel/mesh/mesh.h"

#include <algorithm>

#include "core/base/error.h"
#include "parallel/mesh/rank_group.h"

namespace troupe {
namespace {

constexpr std::array<Axis, 3> kAttention = {Axis::dp, Axis::cp, Axis::tp};
constexpr std::array<Axis, 3> kExperts = {Axis::edp, Axis::ep, Axis::etp};

uint8_t bit(Axis axis) { return static_cast<uint8_t>(1U << static_cast<unsigned>(axis)); }

// In place of pp: the first and the last stage only.
constexpr uint8_t kEnds = 1U << kAxes;
static_assert(kAxes < 8);

void check_shape(const MeshShape& shape, int world) {
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    if (shape[axis] < 1) {
      fail(ExitCode::usage, "parallel.{} = {}: must be 1 or more", name(axis), shape[axis]);
    }
  }
  if (shape.world() != world) {
    fail(ExitCode::usage,
         "the mesh pp {} x dp {} x cp {} x tp {} = {} ranks does not fit the {} ranks of this job: "
         "start {} ranks or change parallel",
         shape[Axis::pp], shape[Axis::dp], shape[Axis::cp], shape[Axis::tp], shape.world(), world,
         shape.world());
  }
  const int attention = shape[Axis::dp] * shape[Axis::cp] * shape[Axis::tp];
  const int experts = shape[Axis::edp] * shape[Axis::ep] * shape[Axis::etp];
  if (attention != experts) {
    fail(ExitCode::usage,
         "the expert mesh edp {} x ep {} x etp {} = {} must have the {} ranks of dp {} x cp {} x "
         "tp {}",
         shape[Axis::edp], shape[Axis::ep], shape[Axis::etp], experts, attention, shape[Axis::dp],
         shape[Axis::cp], shape[Axis::tp]);
  }
}

// Every set of axes of size > 1 over which a group is wanted, in one order on all ranks.
std::vector<uint8_t> group_sets(const MeshShape& shape) {
  std::vector<uint8_t> sets;
  const auto add = [&](uint8_t set) {
    if (set != 0 && std::find(sets.begin(), sets.end(), set) == sets.end()) sets.push_back(set);
  };
  if (shape[Axis::pp] > 1) {
    add(bit(Axis::pp));
    uint8_t tied = kEnds;
    for (Axis axis : {Axis::dp, Axis::cp}) {
      if (shape[axis] > 1) tied |= bit(axis);
    }
    add(tied);
  }
  for (const auto& folding : {kAttention, kExperts}) {
    for (unsigned subset = 1; subset < 8; ++subset) {
      uint8_t set = 0;
      for (unsigned i = 0; i < 3; ++i) {
        if ((subset >> i & 1U) != 0 && shape[folding[i]] > 1) set |= bit(folding[i]);
      }
      add(set);
    }
  }
  return sets;
}

// The node of every rank of the world, numbered from 0.
std::vector<int> node_numbers(Communicator& world, int ranks_per_node) {
  std::vector<int32_t> places(static_cast<size_t>(world.size()));
  if (ranks_per_node > 0) {
    for (size_t r = 0; r < places.size(); ++r) places[r] = static_cast<int32_t>(r) / ranks_per_node;
  } else {
    int32_t own = world.node();
    const auto view = [](int32_t* data, int64_t count) {
      return View{data, DType::i32, {count}, {1}};
    };
    world.all_gather(view(&own, 1), view(places.data(), world.size()), "nodes").finish();
  }
  std::vector<int> out;
  std::vector<int32_t> known;
  for (const int32_t place : places) {
    const auto found = std::find(known.begin(), known.end(), place);
    out.push_back(static_cast<int>(found - known.begin()));
    if (found == known.end()) known.push_back(place);
  }
  return out;
}

std::string set_name(uint8_t set) {
  std::string out;
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    if ((set & bit(axis)) != 0) out += fmt::format("{}{}", out.empty() ? "" : "x", name(axis));
  }
  if ((set & kEnds) != 0) out = out.empty() ? "pp ends" : "pp ends x" + out;
  return out;
}

}  // namespace

int MeshShape::world() const {
  return (*this)[Axis::pp] * (*this)[Axis::dp] * (*this)[Axis::cp] * (*this)[Axis::tp];
}

MeshShape MeshShape::of(const Degrees& degrees) {
  MeshShape shape;
  shape[Axis::pp] = degrees.pp;
  shape[Axis::dp] = degrees.dp;
  shape[Axis::cp] = degrees.cp;
  shape[Axis::tp] = degrees.tp;
  shape[Axis::ep] = degrees.ep;
  shape[Axis::etp] = degrees.etp;
  shape.derive_edp();
  return shape;
}

void MeshShape::derive_edp() {
  const int64_t stage = int64_t{(*this)[Axis::dp]} * (*this)[Axis::cp] * (*this)[Axis::tp];
  const int64_t sharing = int64_t{(*this)[Axis::ep]} * (*this)[Axis::etp];
  const bool divides = sharing > 0 && stage % sharing == 0;
  (*this)[Axis::edp] = divides ? static_cast<int>(stage / sharing) : 1;
}

MeshShape MeshShape::data_expert(int dp, int ep) {
  if (ep < 1 || dp < 1 || dp % ep != 0) {
    fail(ExitCode::usage,
         "ep = {} must divide the {} data ranks (dp), whose groups of ep share the "
         "experts",
         ep, dp);
  }
  return of({.dp = dp, .ep = ep});
}

std::array<int, kAxes> coordinates(const MeshShape& shape, int rank) {
  std::array<int, kAxes> out{};
  const auto unfold = [&](std::initializer_list<Axis> fastest_first) {
    int rest = rank;
    for (Axis axis : fastest_first) {
      out[static_cast<size_t>(axis)] = rest % shape[axis];
      rest /= shape[axis];
    }
  };
  unfold({Axis::tp, Axis::cp, Axis::dp, Axis::pp});
  unfold({Axis::etp, Axis::ep, Axis::edp, Axis::pp});
  return out;
}

Mesh::Mesh(const Parallelism& parallelism, std::shared_ptr<Communicator> world)
    : parallelism_(parallelism), world_(std::move(world)) {
  check_shape(shape(), world_->size());
  coordinates_ = troupe::coordinates(shape(), world_->rank());
  for (uint8_t set : group_sets(shape())) {
    // Ranks that agree on every axis of the folding but those of the set form a group; the other
    // folding says nothing about them.
    const bool experts = (set & (bit(Axis::edp) | bit(Axis::ep) | bit(Axis::etp))) != 0;
    int color = 0;
    const auto fold = [&](Axis axis) {
      if ((set & bit(axis)) == 0) color = color * shape()[axis] + coordinate(axis);
    };
    if ((set & kEnds) == 0) fold(Axis::pp);
    for (Axis axis : experts ? kExperts : kAttention) fold(axis);
    const int stage = coordinate(Axis::pp);
    if ((set & kEnds) != 0 && stage > 0 && stage + 1 < size(Axis::pp)) color = -1;
    groups_[set] = world_->split(color, world_->rank(), set_name(set));
    if (parallelism_.zero >= 3 && (set & (kEnds | bit(Axis::pp))) == 0) {
      value_groups_[set] = world_->split(color, world_->rank(), set_name(set) + " values");
    }
  }
  solo_ = world_->split(world_->rank(), 0, "alone");
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    // Of one rank each: nobody else takes part, so the color is the rank.
    if (shape()[axis] == 1) {
      alone_[static_cast<size_t>(i)] = world_->split(world_->rank(), 0, name(axis));
    }
  }
  if (size(Axis::pp) > 1) {
    const int stage = shape().world() / size(Axis::pp);
    pipeline_back_ = world_->split(world_->rank() % stage, world_->rank(), "pp back");
  }
  nodes_ = node_numbers(*world_, parallelism_.ranks_per_node);
  if (parallelism_.ep_kind == EpKind::flat || size(Axis::ep) == 1) return;
  // Every rank takes part in the split, also those whose ep group lies on one node.
  const std::vector<int> on = ep_nodes();
  const int first = static_cast<int>(
      std::find(on.begin(), on.end(), on[static_cast<size_t>(coordinate(Axis::ep))]) - on.begin());
  auto group = world_->split(world_rank_of_ep(first), world_->rank(), "ep on a node");
  if (group->size() < size(Axis::ep)) ep_node_group_ = std::move(group);
}

int Mesh::world_rank_of_ep(int rank) const {
  const int etp = size(Axis::etp);
  return world_->rank() + (rank - coordinate(Axis::ep)) * etp;
}

std::vector<int> Mesh::ep_nodes() const {
  return troupe::ep_nodes(parallelism_, nodes_, world_->rank());
}

Communicator& Mesh::ep_node_group() const {
  return ep_node_group_ != nullptr ? *ep_node_group_ : group(Axis::ep);
}

Communicator& Mesh::group_of(Axes axes, Axis first) const {
  Axes set = 0;
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    if ((axes & bit(axis)) != 0 && shape()[axis] > 1) set |= bit(axis);
  }
  set |= axes & kEnds;
  if (set == 0) {
    const auto& alone = alone_[static_cast<size_t>(first)];
    return alone != nullptr ? *alone : *solo_;
  }
  const auto found = groups_.find(set);
  require(found != groups_.end(), "no group over {}: its axes are of both foldings", set_name(set));
  require(found->second != nullptr, "a stage in the middle asks for the group of the {}",
          set_name(set));
  return *found->second;
}

Communicator& Mesh::group(Axis axis) const { return group_of(bit(axis), axis); }

Communicator& Mesh::group(Axis a, Axis b) const { return group_of(bit(a) | bit(b), a); }

Communicator& Mesh::pipeline_back() const {
  return pipeline_back_ != nullptr ? *pipeline_back_ : group(Axis::pp);
}

Communicator& Mesh::gradient_group(const Layout& layout) const {
  Axes set = 0;
  Axis first = layout.mesh == MeshKind::experts ? Axis::edp : Axis::dp;
  for (int i = kAxes - 1; i >= 0; --i) {
    if (!layout.gradient_partial[static_cast<size_t>(i)]) continue;
    if (static_cast<Axis>(i) == Axis::pp) {
      if (size(Axis::pp) > 1) set |= kEnds;
      continue;
    }
    set |= bit(static_cast<Axis>(i));
    first = static_cast<Axis>(i);
  }
  if (set == 0) return *solo_;
  return group_of(set, first);
}

Communicator& Mesh::value_group(const Layout& layout) const {
  Axes set = 0;
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    if (layout.gradient_partial[static_cast<size_t>(i)] && size(axis) > 1) set |= bit(axis);
  }
  const auto found = value_groups_.find(set);
  require(found != value_groups_.end(), "no group over {} for values", set_name(set));
  return *found->second;
}

TrafficTable Mesh::traffic() const {
  TrafficTable sum = world_->traffic();
  const auto add = [&](const std::unique_ptr<Communicator>& group) {
    if (group == nullptr) return;
    for (const auto& [key, traffic] : group->traffic()) {
      sum[key].calls += traffic.calls;
      sum[key].bytes += traffic.bytes;
    }
  };
  for (const auto& [set, group] : groups_) add(group);
  for (const auto& [set, group] : value_groups_) add(group);
  for (const auto& group : alone_) add(group);
  add(solo_);
  add(pipeline_back_);
  add(ep_node_group_);
  return sum;
}

bool value_is_sharded(const Layout& layout, const Parallelism& parallelism) {
  const MeshShape& shape = parallelism.shape;
  if (parallelism.zero < 3) return false;
  bool several = false;
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    if (!layout.gradient_partial[static_cast<size_t>(i)] || shape[axis] == 1) continue;
    if (axis == Axis::pp) return false;
    several = true;
  }
  return several;
}

}  // namespace troupe
