// Two ranks as threads of one process, each with half of the experts, train on made-up text: needs
// neither MPI nor files.
#include <cstdio>

#include "models/engine/drawn_batch.h"
#include "models/engine/training_engine.h"
#include "moe/routers/table.h"
#include "parallel/comm/thread/thread_world.h"

using namespace troupe;

int main() {
  EngineConfig engine;
  engine.model.layers = 1;
  engine.model.seq_len = 32;
  MoEConfig moe;
  moe.router_options = Options(find_router(moe.router)->fields);
  engine.model.moe = {moe};
  engine.optimizer_options = Options(optimizer_fields(engine.optimizer));
  engine.schedule_options = Options(schedule_fields(engine.schedule));
  engine.steps = 10;
  engine.global_batch = 4;
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const Mesh mesh(MeshShape::data_expert(2, 2), world);
    TrainingEngine training(engine, mesh, device);
    for (int64_t step = 0; step < engine.steps; ++step) {
      const StepResult result = training.step(step, [&](int64_t micro) {
        return drawn_batch(engine.model, 0, engine.global_batch,
                           micro_batch_samples(engine, 2, rank, micro));
      });
      if (rank == 0) std::printf("step %ld: %.6f\n", step + 1, result.loss);
    }
  });
}
