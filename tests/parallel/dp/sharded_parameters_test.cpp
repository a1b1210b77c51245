#include "parallel/dp/sharded_parameters.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.h"
#include "parallel/comm/thread/thread_world.h"
#include "parallel/dp/gradient_sync.h"

namespace troupe {
namespace {

constexpr int64_t kBytes = 3000;  // of a bucket: some hold several units, some units have several

// Two blocks and a norm; nothing divides. Experts are cut over ep.
struct Model {
  std::vector<std::unique_ptr<Parameter>> made;
  std::vector<Parameter*> all;
  std::vector<std::string> units;

  Model(const Mesh& mesh, const std::shared_ptr<Device>& device) {
    const auto add = [&](const std::string& unit, const std::string& name, const Layout& layout) {
      made.push_back(std::make_unique<Parameter>(
          unit + "." + name, layout, local_slice(layout, mesh.shape(), mesh.coordinates()),
          DType::f32, Init{Init::Kind::normal, 0.02}, true, device));
      if (value_is_sharded(layout, mesh.parallelism())) made.back()->value().storage()->free();
      made.back()->initialize(3);
      all.push_back(made.back().get());
      units.push_back(unit);
    };
    for (const char* unit : {"layers.0", "layers.1"}) {
      add(unit, "small", Layout::replicated({7}, MeshKind::attention, {Axis::dp, Axis::cp}));
      add(unit, "matrix", Layout::replicated({31, 29}, MeshKind::attention, {Axis::dp, Axis::cp}));
      add(unit, "experts",
          Layout::replicated({4, 5, 3}, MeshKind::experts, {Axis::edp}).shard(0, Axis::ep));
      add(unit, "none", Layout::replicated({0, 4}, MeshKind::attention, {Axis::dp, Axis::cp}));
    }
    add("norm", "weight", Layout::replicated({5}, MeshKind::attention, {Axis::dp, Axis::cp}));
  }
  std::vector<GradientItem> items() const {
    std::vector<GradientItem> out;
    for (const Parameter* p : all)
      out.push_back({p->layout(), p->value().elements(), p->value().dtype()});
    return out;
  }
};

Parallelism spread(const MeshShape& shape) {
  Parallelism out(shape);
  out.zero = 3;
  return out;
}

const std::vector<MeshShape> kMeshes = {MeshShape::data_expert(2, 1), MeshShape::data_expert(3, 1),
                                        MeshShape::data_expert(4, 2), MeshShape::data_expert(4, 4),
                                        MeshShape::of({.dp = 2, .cp = 2, .ep = 2})};

// A unit whose values stay.
const ValueUse kNorm{"norm", true};

// body(rank, mesh, model, values) on every rank of the mesh.
template <typename Body>
void on_ranks(const MeshShape& shape, Body&& body) {
  run_ranks(shape.world(), [&](int rank, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const Mesh mesh(spread(shape), world);
    Model model(mesh, device);
    GradientSync sync(model.all, mesh, kBytes);
    ShardedParameters values(model.all, model.units, mesh, kBytes);
    body(rank, mesh, model, values);
  });
}

// What a rank has of each parameter, drawn whole.
std::vector<std::vector<double>> drawn(const MeshShape& shape, int rank) {
  std::vector<std::vector<double>> out(static_cast<size_t>(shape.world()));
  std::vector<std::vector<double>> mine;
  run_ranks(shape.world(), [&](int at, std::shared_ptr<Communicator> world) {
    const Mesh mesh(shape, world);
    const Model model(mesh, Device::cpu(1));
    if (at != rank) return;
    for (const Parameter* p : model.all) mine.push_back(p->value().values());
  });
  return mine;
}

TEST(ShardedParameters, AUnitHasItsValuesWhileItIsUsed) {
  for (const MeshShape& shape : kMeshes) {
    const std::vector<std::vector<double>> expected = drawn(shape, shape.world() - 1);
    on_ranks(shape, [&](int rank, const Mesh&, Model& model, ShardedParameters& values) {
      for (int step = 0; step < 2; ++step) {
        values.announce({{"layers.0"}, {"layers.1"}, kNorm, {"layers.1"}, {"layers.0"}});
        for (const char* unit : {"layers.0", "layers.1", "norm", "layers.1", "layers.0"}) {
          values.gather(unit);
          for (size_t i = 0; i < model.all.size(); ++i) {
            if (model.units[i] != unit || rank + 1 != shape.world()) continue;
            EXPECT_EQ(model.all[i]->value().values(), expected[i]) << model.all[i]->name();
          }
          values.release(unit);
        }
        values.announce({});
      }
    });
  }
}

TEST(ShardedParameters, OwnersTogetherKeepEveryElementOnce) {
  for (const MeshShape& shape : kMeshes) {
    std::vector<int64_t> kept(static_cast<size_t>(shape.world()));
    int64_t whole = 0;
    on_ranks(shape, [&](int rank, const Mesh& mesh, Model& model, ShardedParameters&) {
      for (const Parameter* p : model.all) {
        EXPECT_EQ(p->owned_value().elements(), p->owned().count);
        const bool spread = p->keeps_owned_value_only();
        EXPECT_EQ(spread,
                  value_is_sharded(p->layout(), mesh.parallelism()) && p->value().elements() > 0);
        EXPECT_EQ(p->value().storage()->held(), !spread) << p->name();
        if (spread) kept[static_cast<size_t>(rank)] += p->owned().count;
        if (spread && rank == 0) {
          whole += p->value().elements() * shape[Axis::ep] *
                   (p->layout().mesh == MeshKind::experts ? 1 : 0);
          if (p->layout().mesh == MeshKind::attention) whole += p->value().elements();
        }
      }
    });
    int64_t sum = 0;
    for (int64_t count : kept) sum += count;
    EXPECT_EQ(sum, whole);
  }
}

// Never more than the unit in use, the next one, and the norm.
TEST(ShardedParameters, TheNextUnitIsOnItsWayAndNoOther) {
  on_ranks(MeshShape::data_expert(2, 1),
           [&](int, const Mesh&, Model& model, ShardedParameters& values) {
             const auto here = [&](const std::string& unit) {
               for (size_t i = 0; i < model.all.size(); ++i) {
                 if (model.units[i] != unit || !model.all[i]->keeps_owned_value_only()) continue;
                 return model.all[i]->value().storage()->held();
               }
               return false;
             };
             values.announce({{"layers.0"}, kNorm, {"layers.1"}, {"layers.1"}, {"layers.0"}});
             EXPECT_TRUE(here("layers.0"));
             EXPECT_FALSE(here("norm") || here("layers.1"));
             values.gather("layers.0");
             EXPECT_TRUE(here("norm") && here("layers.1"));
             values.release("layers.0");
             EXPECT_FALSE(here("layers.0"));
             values.gather("norm");
             EXPECT_FALSE(here("layers.0"));
             values.release("norm");
             EXPECT_TRUE(here("norm"));
             values.gather("layers.1");
             EXPECT_TRUE(here("layers.0"));
             values.release("layers.1");
             EXPECT_TRUE(here("layers.1"));  // used again at once
             values.gather("layers.1");
             values.release("layers.1");
             EXPECT_FALSE(here("layers.1"));
             values.gather("layers.0");
             values.release("layers.0");
             EXPECT_FALSE(here("layers.0"));
             values.announce({});
             EXPECT_FALSE(here("norm"));
           });
}

TEST(ShardedParameters, UsesOutOfOrderAreBugs) {
  on_ranks(MeshShape::data_expert(2, 1),
           [&](int, const Mesh&, Model& model, ShardedParameters& values) {
             EXPECT_THROW(values.gather("layers.0"), Error);
             values.announce({{"layers.0"}});
             EXPECT_THROW(values.gather("layers.1"), Error);
             values.announce({});
             // And so is reading a value that is not here.
             EXPECT_THROW(model.all[1]->value().view(), Error);
           });
}

TEST(ShardedParameters, TrafficIsThePredictedOne) {
  const std::vector<ValueUse> uses = {{"layers.0"}, {"layers.1"}, kNorm,
                                      {"layers.1"}, {"layers.1"}, {"layers.0"}};
  const std::map<std::string, int64_t> fetches = count_fetches(uses);
  EXPECT_EQ(fetches,
            (std::map<std::string, int64_t>{{"layers.0", 2}, {"layers.1", 2}, {"norm", 1}}));
  for (const MeshShape& shape : kMeshes) {
    on_ranks(shape, [&](int rank, const Mesh& mesh, Model& model, ShardedParameters& values) {
      values.announce(uses);
      for (const ValueUse& use : uses) {
        values.gather(use.unit);
        values.release(use.unit);
      }
      values.announce({});
      int64_t counted = 0;
      for (const auto& [key, traffic] : mesh.traffic()) {
        if (key.second.rfind("values of", 0) == 0) counted += traffic.bytes;
      }
      EXPECT_EQ(counted,
                value_bytes_sent(model.items(), model.units, shape, rank, fetches, kBytes));
      EXPECT_GT(counted, 0);
    });
  }
}

// A rank that is gone is named by those that wait for its values.
TEST(ShardedParameters, ALostOwnerIsAnError) {
  EXPECT_THROW(on_ranks(MeshShape::data_expert(2, 1),
                        [&](int rank, const Mesh&, Model&, ShardedParameters& values) {
                          if (rank == 1) fail(ExitCode::data, "no more tokens");
                          values.announce({{"layers.0"}});
                          values.gather("layers.0");
                        }),
               Error);
}

}  // namespace
}  // namespace troupe
