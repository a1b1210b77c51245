// A program with a router of its own: it scores experts with a learned matrix, each token goes to
// the two with the largest scores, and their softmax weights are divided by their sum. What it
// computes is `topk` with its defaults, so that both can be compared.
//
//   mpirun -n 2 own_router TEXT FOLDER
#include <cstdio>

#include "core/ops/softmax.h"
#include "models/engine/sampled_batches.h"
#include "moe/routers/parts/draws.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "moe/routers/parts/select.h"
#include "moe/routers/table.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/mpi/mpi_world.h"

using namespace troupe;

class Strongest final : public Router {
 public:
  explicit Strongest(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = out.selection_TE = router_logits(input, input.x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, {}, 2, input.context);
    const Tensor chosen =
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert);
    out.sparse().weight = normalise_pairs(chosen, out.sparse().token_begin);
    return out;
  }
  int64_t choices() const override { return 2; }

 private:
  int64_t experts_;
  Parameter& weight_;
};

static RouterDescriptor strongest() {
  RouterDescriptor out;
  out.name = "strongest";
  out.help = "each token goes to the two experts with the largest logits";
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<Strongest>(inputs);
  };
  out.choices = [](const Options&) { return int64_t{2}; };
  return out;
}

int main(int, char** argv) {
  add_router(strongest());
  const MpiWorld world;
  const auto device = Device::cpu(1);
  world.communicator()->world().set_device(device);
  EngineConfig engine;
  ModelConfig& model = engine.model;
  model.layers = 2;
  model.dim = model.seq_len = 64;
  model.heads = 4;
  model.head_dim = 16;
  model.ffn_dim = 128;
  MoEConfig moe;
  moe.router = "strongest";
  moe.experts = 4;
  moe.ffn_dim = 96;
  model.moe = {std::nullopt, moe};
  engine.seed = 4321;
  engine.optimizer_options = Options(optimizer_fields(engine.optimizer));
  engine.schedule_options = Options(schedule_fields(engine.schedule));
  engine.lr = 3e-3;
  engine.steps = 20;
  engine.global_batch = 8;
  engine.micro_batch = 2;
  const Mesh mesh(MeshShape::data_expert(world.size(), 2), world.communicator());  // ep 2
  TrainingEngine training(engine, mesh, device);
  const auto data = load_run_data({.train = {{argv[1]}}}, *load_tokenizer("byte"), 256, 64);
  Sampler sampler(data.train, 64, engine.seed);
  for (int64_t step = 0; step < 10; ++step) {
    const StepResult result = training.step(step, sampled_batches(training, sampler, step));
    if (world.rank() == 0) std::printf("step %ld: %.17g\n", step + 1, result.loss);
  }
  checkpoint::save(std::string(argv[2]) + "/step-10.h5", training.state(), *world.communicator());
}
