// A device whose memory the host cannot touch (tests/support/guarded_device.h) trains, saves,
// loads, evaluates and generates with the bits of the CPU's: nothing outside kernels and counted
// copies reads or writes the memory of tensors.
#include "tests/support/guarded_device.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/text/tokenizer.h"
#include "models/engine/held_out_loss.h"
#include "models/families/lookup/configured_model.h"
#include "models/generation/text_generator.h"
#include "models/verify/layout_run.h"
#include "moe/routers/table.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe::laws {
namespace {

using troupe::testing::GuardedDevice;

struct NamedLayout {
  const char* name;
  Degrees degrees;
  int zero = 0;
};
const std::vector<NamedLayout> kLayouts = {
    {"dp 4 ep 2", {.dp = 4, .ep = 2}},           {"tp 2 etp 2", {.tp = 2, .etp = 2}},
    {"pp 2 dp 2", {.pp = 2, .dp = 2}},           {"cp 2 ep 2", {.cp = 2, .ep = 2}},
    {"dp 2 ep 2 zero 3", {.dp = 2, .ep = 2}, 3},
};

EngineConfig engine(const std::string& router, DType compute) {
  EngineConfig engine = small_engine(compute, router);
  engine.model.heads = 4;
  engine.model.kv_heads = 2;
  engine.model.head_dim = 4;
  engine.micro_batch = 2;
  engine.global_batch = 8;
  return engine;
}

Parallelism layout_of(const NamedLayout& named) {
  Parallelism layout(MeshShape::of(named.degrees));
  layout.zero = named.zero;
  return layout;
}

uint64_t trained(const EngineConfig& engine, const Parallelism& layout, bool guarded) {
  LayoutRun run;
  run.engine = engine;
  run.layout = layout;
  run.steps = 2;
  if (guarded) {
    run.make_device = [] { return GuardedDevice::make(); };
    run.before_training = [](TrainingEngine& engine) {
      GuardedDevice::label_all(engine.model().parameters());
    };
  }
  return fingerprint(run_law_on_threads(run, layout.shape.world()));
}

class GuardedTraining : public ::testing::TestWithParam<NamedLayout> {};

TEST_P(GuardedTraining, HasTheBitsOfTheCpu) {
  const Parallelism layout = layout_of(GetParam());
  for (const RouterDescriptor& router : routers()) {
    const EngineConfig model = engine(router.name, DType::f32);
    EXPECT_EQ(trained(model, layout, true), trained(model, layout, false))
        << GetParam().name << ", " << router.name;
  }
  const EngineConfig narrow = engine("topk", DType::bf16);
  EXPECT_EQ(trained(narrow, layout, true), trained(narrow, layout, false)) << "bf16";
}

INSTANTIATE_TEST_SUITE_P(Layouts, GuardedTraining, ::testing::ValuesIn(kLayouts),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           for (char& c : name) c = c == ' ' ? '_' : c;
                           return name;
                         });

// Every balance term in every scope, of one level and of two.
TEST(GuardedTraining, BalanceTermsHaveTheBitsOfTheCpu) {
  const Parallelism layout = layout_of(kLayouts[0]);
  for (const char* router : {"topk", "smile"}) {
    EngineConfig config = engine(router, DType::f32);
    MoEConfig& moe = *config.model.moe[1];
    std::vector<const char*> types = {"switch", "z", "importance"};
    if (moe.router == "topk") {
      moe.router_options.set("noise", std::string("learned"));
      moe.router_options.set("bias_update", 0.01);
      types.push_back("load");
    }
    for (const BalanceScope scope :
         {BalanceScope::sequence, BalanceScope::microbatch, BalanceScope::global_batch,
          BalanceScope::global_batch_exact}) {
      moe.balance.clear();
      for (const char* type : types) moe.balance.push_back({type, 0.1, scope});
      EXPECT_EQ(trained(config, layout, true), trained(config, layout, false))
          << router << ", scope " << static_cast<int>(scope);
    }
  }
}

TEST(GuardedDevice, KnowsTheNamesOfAModelsParameters) {
  LayoutRun run{engine("topk", DType::f32)};
  run.steps = 0;
  const auto device = GuardedDevice::make();
  run.make_device = [&] { return device; };
  size_t seen = 0;
  run.before_training = [&](TrainingEngine& engine) {
    GuardedDevice::label_all(engine.model().parameters());
    for (const Parameter* parameter : engine.model().parameters()) {
      const std::string said = device->describe(parameter->value().view().data);
      EXPECT_TRUE(said.ends_with(", \"" + parameter->name() + "\"")) << said;
      ++seen;
    }
  };
  run_law_on_threads(run, 1);
  EXPECT_GT(seen, 10);
}

HeldOut windows(int64_t count, int64_t seq_len) {
  Corpus corpus;
  corpus.vocab = 16;
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count * seq_len + 1; ++i) ids.push_back(static_cast<int32_t>(i * 7 % 11));
  TokenBuilder builder(corpus.vocab);
  builder.add(ids);
  corpus.parts.push_back({"part", 1.0, builder.finish("part")});
  return HeldOut(corpus, seq_len);
}

// What a rank says after a step, a save, and a load into a second engine.
struct Said {
  std::vector<std::pair<std::string, Digest>> saved, again;
  double held_out = 0;
};

Said saved_and_loaded(const NamedLayout& named, bool guarded) {
  const test::TemporaryDirectory dir;
  const Parallelism layout = layout_of(named);
  Said said;
  run_ranks(layout.shape.world(), [&](int rank, std::shared_ptr<Communicator> world) {
    std::shared_ptr<Device> device = Device::cpu(1);
    if (guarded) device = GuardedDevice::make();
    world->world().set_device(device);
    const Mesh mesh(layout, world);
    const EngineConfig config = engine("topk", DType::f32);
    TrainingEngine first(config, mesh, device);
    if (guarded) GuardedDevice::label_all(first.model().parameters());
    first.step(0, law_batches(first, 0));
    checkpoint::save(dir / "first.h5", first.state(), *world);
    TrainingEngine second(config, mesh, device);
    State state = second.state();
    checkpoint::load(dir / "first.h5", state, *world);
    second.state_loaded();
    checkpoint::save(dir / "second.h5", second.state(), *world);
    const HeldOutLoss loss =
        held_out_loss(second.model(), windows(5, config.model.seq_len), 2, mesh, device);
    if (rank == 0) said.held_out = loss.nats_per_token;
  });
  const auto digests = [&](const char* file) {
    std::vector<std::pair<std::string, Digest>> out;
    for (const auto& tensor : checkpoint::read_info(dir / file).tensors)
      out.emplace_back(tensor.name, tensor.digest);
    return out;
  };
  said.saved = digests("first.h5");
  said.again = digests("second.h5");
  return said;
}

TEST(GuardedDevice, SavesLoadsAndEvaluatesAsTheCpu) {
  for (const NamedLayout& named : kLayouts) {
    const Said cpu = saved_and_loaded(named, false);
    const Said guarded = saved_and_loaded(named, true);
    EXPECT_FALSE(cpu.saved.empty());
    EXPECT_EQ(guarded.saved, cpu.saved) << named.name;
    EXPECT_EQ(guarded.again, cpu.saved) << named.name;
    EXPECT_EQ(guarded.held_out, cpu.held_out) << named.name;
  }
}

TEST(GuardedDevice, GeneratesAsTheCpu) {
  const auto text = [](const std::shared_ptr<Device>& device, bool cached) {
    ModelConfig config = engine("topk", DType::f32).model;
    config.vocab = 256;
    const Mesh mesh(MeshShape{}, self_communicator());
    const auto model = make_model(config, mesh, device, 5);
    GenerationRequest request;
    request.prompt = "the king";
    request.tokens = 20;
    request.cached = cached;
    return generate_text(*model, *load_tokenizer("byte"), request, [](const std::string&) {}).ids;
  };
  for (const bool cached : {true, false})
    EXPECT_EQ(text(GuardedDevice::make(), cached), text(Device::cpu(1), cached));
}

}  // namespace
}  // namespace troupe::laws
