// A rank that is late somewhere in a step: the report says in which layer and micro-batch it is
// awaited, forward, backward and in evaluation.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

#include "models/engine/held_out_loss.h"
#include "models/verify/layout_run.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe::laws {
namespace {

using Rank1 = std::function<void(TrainingEngine&)>;
using Run = std::function<void(TrainingEngine&)>;

constexpr std::chrono::milliseconds kDeadline(2000);  // a step takes a hundredth of it
std::atomic<bool> given_up{false};

// Until rank 0 has given up; a minute at most.
void fall_behind() {
  for (int i = 0; i < 6000 && !given_up; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// What is said when rank 1, prepared so that it falls behind somewhere, runs beside rank 0.
std::string said(const Parallelism& layout, bool recompute, const Rank1& prepare, const Run& go) {
  given_up = false;
  try {
    run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
      EngineConfig config = small_engine(DType::f64, "topk");
      config.model.recompute = recompute;
      const Mesh mesh(layout, world);
      TrainingEngine engine(config, mesh, Device::cpu(1));
      if (rank == 1) prepare(engine);
      world->barrier("start").finish();
      world->world().set_timeout(rank == 0 ? kDeadline : std::chrono::minutes(2));
      try {
        go(engine);
      } catch (...) {
        given_up = true;
        throw;
      }
    });
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::distributed);
    return error.what();
  }
  return "";
}

void expect_said(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

// One step in which rank 1 gets its second micro-batch late.
void step_with_a_late_batch(TrainingEngine& engine) {
  const auto batches = law_batches(engine);
  engine.step(0, [&](int64_t micro) {
    if (micro == 1 && engine.mesh().all().rank() == 1) fall_behind();
    return batches(micro);
  });
}

Parallelism on(const Degrees& degrees) { return Parallelism(MeshShape::of(degrees)); }

TEST(LatePlaces, Forward) {
  expect_said(said(
                  on({.dp = 2, .ep = 2}), false, [](TrainingEngine&) {}, step_with_a_late_batch),
              {"no answer from rank 1 within 2 s: ", "\"layers.1.moe", "in group ep of 2 ranks",
               ", layer 1, micro-batch 1, forward, awaited by rank 0; it lives", "that matched is ",
               "layer 1, micro-batch 0, backward"});
}

TEST(LatePlaces, PipelineStage) {
  expect_said(said(
                  on({.pp = 2}), false, [](TrainingEngine&) {}, step_with_a_late_batch),
              {"no answer from rank 1 within 2 s: receive \"stage gradients\" in group pp back of "
               "2 ranks",
               ", micro-batch 1, backward, awaited by rank 0; it lives"});
}

// The head's norm is the first thing of backward that has a parameter.
void late_in_backward(TrainingEngine& engine) {
  for (Parameter* parameter : engine.model().parameters()) {
    if (parameter->name() != "norm.weight") continue;
    parameter->on_gradient_ready([calls = 0](Parameter&) mutable {
      if (++calls == 2) fall_behind();
    });
  }
}

TEST(LatePlaces, Backward) {
  for (const bool recompute : {false, true}) {
    const std::string text =
        said(on({.dp = 2, .ep = 2}), recompute, late_in_backward,
             [](TrainingEngine& engine) { engine.step(0, law_batches(engine)); });
    expect_said(text, {"no answer from rank 1 within 2 s: ", "\"layers.1.moe",
                       ", layer 1, micro-batch 1, backward, awaited by rank 0; it lives"});
  }
  // The last layer of all is dense and cut over tp: its backward comes after that of layer 1.
  expect_said(said(on({.tp = 2}), false, late_in_backward,
                   [](TrainingEngine& engine) { engine.step(0, law_batches(engine)); }),
              {"no answer from rank 1 within 2 s: ", ", micro-batch 1, backward, awaited by"});
}

HeldOut windows_of(int64_t count, int64_t seq_len) {
  Corpus corpus;
  corpus.vocab = 16;
  std::vector<int32_t> ids(static_cast<size_t>(count * seq_len + 1));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * i % 13);
  TokenBuilder builder(corpus.vocab);
  builder.add(ids);
  corpus.parts.push_back({"part", 1.0, builder.finish("part")});
  return HeldOut(corpus, seq_len);
}

TEST(LatePlaces, Evaluation) {
  const std::string text = said(
      on({.dp = 2, .ep = 2}), false,
      [](TrainingEngine& engine) {
        engine.model().moe_layers()[0]->observe_routing([calls = 0](const Routing&) mutable {
          if (++calls == 2) fall_behind();
        });
      },
      [](TrainingEngine& engine) {
        held_out_loss(engine.model(), windows_of(8, engine.config().model.seq_len), 2,
                      engine.mesh(), Device::cpu(1));
      });
  expect_said(text, {"no answer from rank 1 within 2 s: ", "\"layers.1.moe",
                     ", layer 1, micro-batch 1, evaluation, awaited by rank 0; it lives"});
}

// Windows that the ranks cannot share out evenly: the last batch of some is short or empty, and
// they take part in all exchanges.
TEST(UnevenWindows, GiveOneRanksLoss) {
  for (const char* router : {"topk", "expert_choice", "hash"}) {
    for (const int64_t windows : {1, 3, 5, 7}) {
      EngineConfig config = small_engine(DType::f64, router);
      const auto loss = [&](const Parallelism& layout) {
        double found = 0;
        CommOptions options;
        options.timeout = std::chrono::seconds(30);
        options.check_collectives = true;
        run_ranks(
            layout.shape.world(),
            [&](int rank, const std::shared_ptr<Communicator>& world) {
              const Mesh mesh(layout, world);
              TrainingEngine engine(config, mesh, Device::cpu(1));
              const HeldOut held_out = windows_of(windows, config.model.seq_len);
              const HeldOutLoss mine =
                  held_out_loss(engine.model(), held_out, 2, mesh, Device::cpu(1));
              EXPECT_EQ(mine.predictions, windows * config.model.seq_len);
              if (rank == 0) found = mine.nats_per_token;
            },
            options);
        return found;
      };
      const double one = loss(Parallelism());
      EXPECT_GT(one, 0.0);
      Parallelism nodes = on({.dp = 4, .ep = 4});
      nodes.ep_kind = EpKind::hierarchical;
      nodes.ranks_per_node = 2;
      for (const Parallelism& layout :
           {on({.dp = 2, .ep = 2}), on({.dp = 3}), nodes, on({.pp = 2, .dp = 2, .ep = 2})}) {
        EXPECT_NEAR(loss(layout), one, 1e-12) << router << ", " << windows << " windows";
      }
    }
  }
}

}  // namespace
}  // namespace troupe::laws
