#include "models/layouts/nearest_shapes.h"

#include <algorithm>
#include <cmath>

#include "models/model/legal.h"

namespace troupe {
namespace {

struct ExpertDegrees {
  int64_t ep = 1;
  int64_t etp = 1;
};

// Those of this layout if a stage of so many ranks can have them, else all that divide it.
std::vector<ExpertDegrees> expert_degrees(const MeshShape& shape, const LayoutInputs& inputs,
                                          int64_t stage) {
  const int64_t own_ep = shape[Axis::ep];
  const int64_t own_etp = shape[Axis::etp];
  if (stage % (own_ep * own_etp) == 0 && inputs.experts % own_ep == 0 &&
      inputs.expert_ffn % own_etp == 0) {
    return {{own_ep, own_etp}};
  }
  std::vector<ExpertDegrees> all;
  for (const int64_t ep : divisors(stage)) {
    for (const int64_t etp : divisors(stage / ep)) all.push_back({ep, etp});
  }
  return all;
}

// dp follows from the others.
double distance(const MeshShape& a, const MeshShape& b) {
  double sum = 0;
  for (Axis axis : {Axis::pp, Axis::cp, Axis::tp, Axis::ep, Axis::etp}) {
    sum += std::abs(std::log2(static_cast<double>(b[axis]) / a[axis]));
  }
  return sum;
}

}  // namespace

std::vector<MeshShape> nearest_shapes(const Parallelism& parallelism, const LayoutInputs& inputs,
                                      int world) {
  std::vector<MeshShape> found;
  const auto try_shape = [&](int64_t pp, int64_t cp, int64_t tp) {
    const int64_t stage = world / pp;
    for (const ExpertDegrees& experts : expert_degrees(parallelism.shape, inputs, stage)) {
      Parallelism p = parallelism;
      p.shape = MeshShape::of({.pp = static_cast<int>(pp),
                               .dp = static_cast<int>(stage / cp / tp),
                               .cp = static_cast<int>(cp),
                               .tp = static_cast<int>(tp),
                               .ep = static_cast<int>(experts.ep),
                               .etp = static_cast<int>(experts.etp)});
      if (broken_layout_rules(p, inputs, world).empty()) found.push_back(p.shape);
    }
  };
  for (const int64_t pp : divisors(world)) {
    for (const int64_t cp : divisors(world / pp)) {
      for (const int64_t tp : divisors(world / pp / cp)) try_shape(pp, cp, tp);
    }
  }
  std::stable_sort(found.begin(), found.end(), [&](const MeshShape& a, const MeshShape& b) {
    return distance(parallelism.shape, a) < distance(parallelism.shape, b);
  });
  if (found.size() > 3) found.resize(3);
  return found;
}

}  // namespace troupe
