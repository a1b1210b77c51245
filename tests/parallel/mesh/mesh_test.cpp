#include "parallel/mesh/mesh.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/tensor/tensor.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

MeshShape shape_of(int pp, int dp, int cp, int tp, int edp, int ep, int etp) {
  MeshShape shape;
  shape.size = {pp, dp, cp, tp, edp, ep, etp};
  return shape;
}

TEST(Mesh, CoordinatesFoldTheRanksTwice) {
  const MeshShape shape = shape_of(2, 2, 1, 2, 1, 4, 1);
  const auto at = coordinates(shape, 5);  // pp 1, then 1 of 4: dp 0, tp 1; ep 1
  EXPECT_EQ(at, (std::array<int, kAxes>{1, 0, 0, 1, 0, 1, 0}));
  for (int rank = 0; rank < shape.world(); ++rank) {
    const auto c = coordinates(shape, rank);
    EXPECT_EQ(((c[0] * 2 + c[1]) * 1 + c[2]) * 2 + c[3], rank);
    EXPECT_EQ(((c[0] * 1 + c[4]) * 4 + c[5]) * 1 + c[6], rank);
  }
}

TEST(Mesh, DataExpertRefusesWhatDoesNotDivide) {
  EXPECT_EQ(MeshShape::data_expert(4, 2)[Axis::edp], 2);
  EXPECT_THROW(MeshShape::data_expert(3, 2), Error);
}

TEST(Mesh, RefusesAWorldThatDoesNotFit) {
  try {
    Mesh mesh(MeshShape::data_expert(2, 2), self_communicator());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("= 2 ranks does not fit the 1 ranks"),
              std::string::npos)
        << error.what();
  }
}

TEST(Mesh, GroupsSumOverTheirAxes) {
  for (const MeshShape& shape : {shape_of(1, 1, 1, 1, 1, 1, 1), shape_of(1, 4, 1, 1, 2, 2, 1),
                                 shape_of(1, 2, 1, 2, 1, 2, 2), shape_of(2, 1, 2, 2, 2, 2, 1),
                                 shape_of(2, 2, 1, 1, 1, 1, 2), shape_of(1, 3, 1, 1, 1, 3, 1)}) {
    run_ranks(shape.world(), [&](int rank, const auto& world) {
      const Mesh mesh(shape, world);
      const auto mine = coordinates(shape, rank);
      const auto device = Device::cpu();
      for (int i = 0; i < kAxes; ++i) {
        const auto axis = static_cast<Axis>(i);
        EXPECT_EQ(mesh.group(axis).size(), shape[axis]);
        EXPECT_EQ(mesh.group(axis).rank(), mine[static_cast<size_t>(i)]);
        EXPECT_EQ(mesh.coordinate(axis), mine[static_cast<size_t>(i)]);
        // The members are those that differ in this axis only (within its folding).
        const bool experts = i >= 4;
        double expected = 0;
        for (int other = 0; other < shape.world(); ++other) {
          const auto c = coordinates(shape, other);
          bool member = true;
          for (int j = 0; j < kAxes; ++j) {
            const bool of_folding = j == 0 || (experts ? j >= 4 : j < 4);
            if (j != i && of_folding) member &= c[j] == mine[j];
          }
          if (member) expected += other;
        }
        const Tensor sum = Tensor::full({1}, DType::f64, rank, device);
        mesh.group(axis).all_reduce_sum(sum.view(), "members").finish();
        EXPECT_EQ(sum.item(), expected) << name(axis);
      }
    });
  }
}

TEST(Mesh, GradientGroups) {
  const MeshShape shape = shape_of(1, 2, 2, 1, 2, 2, 1);
  run_ranks(4, [&](int rank, const auto& world) {
    const Mesh mesh(shape, world);
    const auto device = Device::cpu();
    const auto sum_over = [&](const Layout& layout) {
      const Tensor sum = Tensor::full({1}, DType::f64, 1 << rank, device);
      mesh.gradient_group(layout).all_reduce_sum(sum.view(), "gradient").finish();
      return static_cast<int>(sum.item());
    };
    EXPECT_EQ(sum_over(Layout::replicated({3}, MeshKind::attention, {Axis::dp, Axis::cp})), 15);
    EXPECT_EQ(sum_over(Layout::replicated({3}, MeshKind::attention, {Axis::cp})),
              rank < 2 ? 3 : 12);
    EXPECT_EQ(sum_over(Layout::replicated({3}, MeshKind::attention, {})), 1 << rank);
    Layout experts = Layout::replicated({4, 3}, MeshKind::experts, {Axis::edp});
    experts.shard(0, Axis::ep);
    EXPECT_EQ(sum_over(experts), rank % 2 == 0 ? 5 : 10);
    EXPECT_EQ(mesh.traffic().at({CollectiveKind::all_reduce, "gradient"}).calls, 4);
  });
}

// A tied embedding stands on the first and the last stage, and nowhere between.
TEST(Mesh, TiedGradientsAreSummedOverBothEnds) {
  MeshShape shape;
  shape[Axis::pp] = 3;
  shape[Axis::dp] = shape[Axis::edp] = 2;
  run_ranks(6, [&](int rank, std::shared_ptr<Communicator> world) {
    const Mesh mesh(shape, world);
    Layout tied = Layout::replicated({4}, MeshKind::attention, {Axis::pp, Axis::dp, Axis::cp});
    EXPECT_EQ(mesh.pipeline_back().size(), 3);
    EXPECT_EQ(mesh.pipeline_back().rank(), mesh.coordinate(Axis::pp));
    if (mesh.coordinate(Axis::pp) == 1) {
      EXPECT_THROW(mesh.gradient_group(tied), Error);
      return;
    }
    double sum = 1 << rank;
    Communicator& group = mesh.gradient_group(tied);
    group.all_reduce_sum({&sum, DType::f64, {1}, {1}, DeviceKind::cpu}, "tied").finish();
    EXPECT_EQ(sum, 0b110011);
  });
}

// Every element of the global tensor is held once along each axis that cuts the tensor and by all
// ranks along the other axes of its folding; the parts of a rank tile its local tensor.
void check_cover(const Layout& layout, const MeshShape& shape) {
  const int stage = shape.world() / shape[Axis::pp];
  const int64_t elements = layout.global.elements();
  const Shape strides = contiguous_strides(layout.global);
  std::vector<int64_t> count(static_cast<size_t>(elements), 0);
  for (int rank = 0; rank < stage; ++rank) {
    const auto at = coordinates(shape, rank);
    const Shape local = local_shape(layout, shape, at);
    std::vector<int> filled(static_cast<size_t>(local.elements()), 0);
    const Shape local_strides = contiguous_strides(local);
    for (const LocalPart& part : local_slice(layout, shape, at).parts) {
      for (int64_t i = 0; i < part.global.size.elements(); ++i) {
        int64_t rest = i;
        int64_t global = 0;
        int64_t here = 0;
        for (int dim = layout.global.rank() - 1; dim >= 0; --dim) {
          const int64_t k = rest % part.global.size[dim];
          rest /= part.global.size[dim];
          global += (part.global.offset[dim] + k) * strides[dim];
          here += (part.local_offset[dim] + k) * local_strides[dim];
        }
        ++count[static_cast<size_t>(global)];
        ++filled[static_cast<size_t>(here)];
      }
    }
    for (int times : filled) ASSERT_EQ(times, 1) << "rank " << rank;
  }
  int64_t expected = stage;
  for (const DimLayout& dim : layout.dims) {
    for (const DimCut& cut : dim.cuts) expected /= shape[cut.axis];
  }
  for (int64_t i = 0; i < elements; ++i) {
    ASSERT_EQ(count[static_cast<size_t>(i)], expected) << "element " << i;
  }
}

TEST(LayoutBoxes, CoverEveryElementAsOftenAsItIsHeld) {
  const Random random(3, "layouts");
  const std::array<MeshShape, 7> shapes = {
      shape_of(1, 1, 1, 1, 1, 1, 1), shape_of(1, 4, 1, 1, 2, 2, 1), shape_of(1, 2, 1, 3, 3, 2, 1),
      shape_of(2, 1, 2, 2, 1, 2, 2), shape_of(1, 2, 2, 2, 2, 4, 1), shape_of(1, 3, 1, 1, 1, 3, 1),
      shape_of(1, 1, 3, 2, 1, 6, 1)};
  const std::array<std::array<Axis, 3>, 2> foldings = {
      {{Axis::tp, Axis::cp, Axis::dp}, {Axis::etp, Axis::ep, Axis::edp}}};
  for (uint64_t round = 0; round < 400; ++round) {
    const auto draw = [&](uint64_t n, uint64_t lane) { return random.below(round, n, lane); };
    const MeshShape& shape = shapes[draw(shapes.size(), 0)];
    const bool experts = draw(2, 1) == 1;
    // Divisible by everything that a block or zigzag cut may ask for.
    Layout layout = Layout::replicated({72, static_cast<int64_t>(draw(3, 2)), 24},
                                       experts ? MeshKind::experts : MeshKind::attention, {});
    uint64_t lane = 3;
    for (Axis axis : foldings[experts ? 1 : 0]) {
      const uint64_t where = draw(3, lane++);  // dim 0, dim 2 or replicated
      const Cut cut = std::array{Cut::block, Cut::uneven, Cut::zigzag}[draw(3, lane++)];
      if (where < 2) layout.shard(where == 0 ? 0 : 2, axis, cut);
    }
    // Sections must each divide; uneven nests over anything only when innermost, so only uneven
    // cuts get odd sizes.
    if (draw(2, lane++) == 1 && layout.dims[0].cuts.size() <= 1) {
      layout.dims[0].sections = {24, 24, 12, 12};
    }
    bool divides = true;
    try {
      local_shape(layout, shape, coordinates(shape, 0));
    } catch (const Error&) {
      divides = false;  // nested cuts of an uneven part
    }
    if (!divides) continue;
    check_cover(layout, shape);
  }
}

TEST(LayoutBoxes, UnevenCutsOfAnySize) {
  for (int64_t size = 0; size < 12; ++size) {
    Layout layout = Layout::replicated({size, 2}, MeshKind::experts, {});
    layout.shard(0, Axis::ep, Cut::uneven);
    check_cover(layout, MeshShape::data_expert(5, 5));
  }
  Layout layout = Layout::replicated({7}, MeshKind::experts, {});
  layout.shard(0, Axis::ep, Cut::uneven);
  const MeshShape shape = MeshShape::data_expert(3, 3);
  const auto box = [&](int rank) {
    return local_slice(layout, shape, coordinates(shape, rank)).parts.at(0).global;
  };
  EXPECT_EQ(box(0), (Box{{0}, {3}}));
  EXPECT_EQ(box(2), (Box{{5}, {2}}));
}

TEST(LayoutBoxes, SectionsAreCutOneByOne) {
  // q (8 rows), k (4), v (4), each over tp 2.
  Layout layout = Layout::replicated({16, 3}, MeshKind::attention, {Axis::dp});
  layout.shard(0, Axis::tp);
  layout.dims[0].sections = {8, 4, 4};
  const MeshShape shape = shape_of(1, 1, 1, 2, 2, 1, 1);
  const auto parts = local_slice(layout, shape, coordinates(shape, 1)).parts;
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].global, (Box{{4, 0}, {4, 3}}));
  EXPECT_EQ(parts[1].global, (Box{{10, 0}, {2, 3}}));
  EXPECT_EQ(parts[2].global, (Box{{14, 0}, {2, 3}}));
  EXPECT_EQ(parts[2].local_offset, (Shape{6, 0}));
  EXPECT_EQ(local_shape(layout, shape, coordinates(shape, 1)), (Shape{8, 3}));
}

TEST(LayoutBoxes, ZigzagPairsTheEnds) {
  Layout layout = Layout::replicated({12}, MeshKind::attention, {});
  layout.shard(0, Axis::cp, Cut::zigzag);
  const MeshShape shape = shape_of(1, 1, 3, 1, 1, 3, 1);
  const auto parts = local_slice(layout, shape, coordinates(shape, 1)).parts;
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].global, (Box{{2}, {2}}));
  EXPECT_EQ(parts[1].global, (Box{{8}, {2}}));
}

TEST(LayoutBoxes, ABlockCutThatDoesNotDivideIsRefused) {
  Layout layout = Layout::replicated({10, 4}, MeshKind::experts, {});
  layout.shard(0, Axis::ep);
  const MeshShape shape = MeshShape::data_expert(4, 4);
  try {
    local_slice(layout, shape, coordinates(shape, 0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("10 cannot be cut over 4 ep parts"), std::string::npos)
        << error.what();
  }
}

// ep 4 x etp 2 on nodes of 4, of 3 (which cut the parts of an expert apart) and unknown.
TEST(Nodes, AreGivenOrFoundAndGroupTheRanksOfEp) {
  for (const int per_node : {0, 2, 3, 4, 5}) {
    run_ranks(8, [&](int rank, std::shared_ptr<Communicator> world) {
      MeshShape shape;
      shape[Axis::dp] = 8;
      shape[Axis::ep] = 4;
      shape[Axis::etp] = 2;
      Parallelism parallelism(shape);
      parallelism.ep_kind = EpKind::hierarchical;
      parallelism.ranks_per_node = per_node;
      const Mesh mesh(parallelism, std::move(world));
      for (int other = 0; other < 8; ++other)
        EXPECT_EQ(mesh.node(other), per_node == 0 ? 0 : other / per_node);
      for (int e = 0; e < 4; ++e) EXPECT_EQ(mesh.world_rank_of_ep(e), 2 * e + rank % 2);
      const std::vector<int> nodes = mesh.ep_nodes();
      if (per_node == 2) {
        EXPECT_EQ(nodes, (std::vector<int>{0, 1, 2, 3}));
      } else if (per_node == 4) {
        EXPECT_EQ(nodes, (std::vector<int>{0, 0, 1, 1}));
      } else {
        EXPECT_EQ(nodes, (std::vector<int>(4, 0)));
      }
      EXPECT_EQ(mesh.ep_node_group().size(), per_node == 2 ? 1 : per_node == 4 ? 2 : 4);
    });
  }
}

}  // namespace
}  // namespace troupe
