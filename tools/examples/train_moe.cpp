// Trains a mixture-of-experts model on a text, without a configuration file: the experts lie on two
// ranks, the run is saved and goes on from what it saved, and the model writes a little.
//
//   mpirun -n 2 train_moe TEXT FOLDER
#include <cstdio>

#include "models/engine/sampled_batches.h"
#include "models/generation/text_generator.h"
#include "moe/routers/table.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/mpi/mpi_world.h"

using namespace troupe;

static EngineConfig settings() {
  EngineConfig engine;
  engine.model.layers = 2;
  engine.model.dim = 64;
  engine.model.heads = 4;
  engine.model.kv_heads = 2;
  engine.model.head_dim = 16;
  engine.model.ffn_dim = 128;
  engine.model.seq_len = 64;
  engine.model.vocab = 256;  // bytes
  MoEConfig moe;
  moe.experts = 4;
  moe.ffn_dim = 96;
  moe.router = "topk";
  moe.router_options = Options(find_router(moe.router)->fields);
  engine.model.moe = {std::nullopt, moe};  // a dense layer, and one of experts
  engine.seed = 4321;
  engine.optimizer_options = Options(optimizer_fields(engine.optimizer));
  engine.schedule_options = Options(schedule_fields(engine.schedule));
  engine.lr = 3e-3;
  engine.steps = 20;
  engine.global_batch = 8;
  engine.micro_batch = 2;
  return engine;
}

// Trains until `end` steps are done; `step` are.
static void train(TrainingEngine& engine, Sampler& sampler, int64_t step, int64_t end) {
  for (; step < end; ++step) {
    const StepResult result = engine.step(step, sampled_batches(engine, sampler, step));
    if (engine.mesh().all().rank() == 0) std::printf("step %ld: %.17g\n", step + 1, result.loss);
  }
}

int main(int, char** argv) {
  const MpiWorld world;
  const auto device = Device::cpu(1);
  world.communicator()->world().set_device(device);
  const Mesh mesh(MeshShape::data_expert(world.size(), 2), world.communicator());  // ep 2
  const auto bytes = load_tokenizer("byte");
  const auto data = load_run_data({.train = {{argv[1]}}}, *bytes, 256, 64);
  const std::string path = std::string(argv[2]) + "/step-10.h5";
  {
    TrainingEngine engine(settings(), mesh, device);
    Sampler sampler(data.train, 64, settings().seed);
    train(engine, sampler, 0, 10);
    checkpoint::save(path, engine.state(), *world.communicator());
  }
  TrainingEngine engine(settings(), mesh, device);
  Sampler sampler(data.train, 64, settings().seed);
  State state = engine.state();
  checkpoint::load(path, state, *world.communicator());
  engine.state_loaded();
  train(engine, sampler, 10, 20);
  generate_text(engine.model(), *bytes, {.prompt = "The ", .tokens = 60},
                [&](const std::string& text) {
                  if (world.rank() == 0) std::printf("%s", text.c_str());
                });
}
