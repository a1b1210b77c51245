// The small model of dense parameters and experts whose gradients the tests here sum over meshes.
#pragma once

#include <gtest/gtest.h>

#include <numeric>

#include "core/base/random.h"
#include "parallel/comm/thread/thread_world.h"
#include "parallel/dp/gradient_sync.h"
#include "parallel/mesh/mesh.h"

namespace troupe::test {

// More elements than one chunk of the norm has.
inline constexpr int64_t kManyRows = 600;
inline constexpr int kDense = 4;  // dense parameters, then two banks of experts

// The parameters of a small model on a mesh of dp x ep; 12 experts.
struct Model {
  std::vector<std::unique_ptr<Parameter>> owned;
  std::vector<Parameter*> all;

  // rows: of the first parameter.
  Model(const MeshShape& shape, int rank, DType compute, const std::shared_ptr<Device>& device,
        int64_t rows = 30) {
    const auto at = coordinates(shape, rank);
    const auto add = [&](const std::string& name, const Layout& layout, bool decay) {
      owned.push_back(std::make_unique<Parameter>(name, layout, local_slice(layout, shape, at),
                                                  compute, Init{Init::Kind::normal, 0.02}, decay,
                                                  device));
      owned.back()->initialize(1);
      all.push_back(owned.back().get());
    };
    const std::array<Shape, kDense> dense = {Shape{rows, 250}, Shape{17}, Shape{5, 7}, Shape{3}};
    for (size_t i = 0; i < kDense; ++i) {
      add("dense." + std::to_string(i),
          Layout::replicated(dense[i], MeshKind::attention, {Axis::dp, Axis::cp}), i % 2 == 0);
    }
    for (int i = 0; i < 2; ++i) {
      Layout layout = Layout::replicated({12, 6, 11}, MeshKind::experts, {Axis::edp});
      layout.shard(0, Axis::ep);
      add("experts." + std::to_string(i), layout, true);
    }
  }
};

// The gradient that token block `block` (of kBlocks) gives to element `index` of a parameter, in
// the global numbering. A step's gradient is the sum over all blocks.
inline constexpr int kBlocks = 24;
inline double block_gradient(const Random& random, int block, int64_t index) {
  return random.uniform(static_cast<uint64_t>(index), static_cast<uint64_t>(block)) - 0.5;
}

// What this rank's blocks [begin, end) add to its part of the parameter.
inline Tensor local_gradient(const Parameter& p, int begin, int end,
                             const std::shared_ptr<Device>& device) {
  const int64_t row = p.layout().global.elements() / std::max<int64_t>(p.layout().global[0], 1);
  const int64_t first = p.slice().parts.at(0).global.offset[0] * row;
  std::vector<double> values(static_cast<size_t>(p.value().elements()), 0.0);
  const Random random(2, "gradient", p.name());
  for (int block = begin; block < end; ++block) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] += block_gradient(random, block, first + static_cast<int64_t>(i));
    }
  }
  return Tensor::from(values, p.value().shape(), p.value().dtype(), device);
}

// Which blocks a rank contributes to a parameter: dense ones see the tokens of the rank; experts
// see those of their whole ep group.
inline std::pair<int, int> blocks_of(const Parameter& p, const MeshShape& shape, int rank,
                                     int micro, int micro_batches) {
  const bool experts = p.layout().mesh == MeshKind::experts;
  const auto at = coordinates(shape, rank);
  const int parts = experts ? shape[Axis::edp] : shape[Axis::dp];
  const int part = at[static_cast<size_t>(experts ? Axis::edp : Axis::dp)];
  const int each = kBlocks / micro_batches / parts;
  const int begin = micro * (kBlocks / micro_batches) + part * each;
  return {begin, begin + each};
}

inline void run_step(Model& model, GradientSync& sync, const MeshShape& shape, int rank,
                     int micro_batches, const std::shared_ptr<Device>& device) {
  sync.begin_step();
  for (int micro = 0; micro < micro_batches; ++micro) {
    sync.begin_micro_batch(micro + 1 == micro_batches);
    for (Parameter* p : model.all) p->use();
    // Every rank its own order: the sums must not care.
    std::vector<size_t> order(model.all.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::reverse(order.begin(), order.end());
    std::rotate(order.begin(), order.begin() + rank % 3, order.end());
    for (size_t i : order) {
      const auto [begin, end] = blocks_of(*model.all[i], shape, rank, micro, micro_batches);
      model.all[i]->accumulate(local_gradient(*model.all[i], begin, end, device));
    }
  }
  sync.finish();
}

inline Parallelism with_zero(const MeshShape& shape, int zero) {
  Parallelism parallelism(shape);
  parallelism.zero = zero;
  return parallelism;
}

inline const std::vector<std::pair<int, int>> kMeshes = {{1, 1}, {2, 1}, {2, 2}, {3, 3},
                                                         {4, 1}, {4, 2}, {4, 4}};

}  // namespace troupe::test
