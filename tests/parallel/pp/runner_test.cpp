#include "parallel/pp/runner.h"

#include <gtest/gtest.h>

#include <mutex>

#include "core/autograd/tape.h"
#include "core/ops/arithmetic.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

constexpr int64_t kMicroBatches = 4;

// Piece p multiplies by (p + 2); the loss is the sum of the last value times the number of the
// micro-batch plus one.
class Scaling final : public PipelineStage {
 public:
  Scaling(const Pipeline& pipeline, int stage, const std::shared_ptr<Device>& device)
      : pipeline_(pipeline), stage_(stage), device_(device) {}

  Tensor forward(int chunk, int64_t micro, const Tensor& x) override {
    const int place = pipeline_.virtual_stage(stage_, chunk);
    Tensor in = x;
    if (place == 0) {
      in = leaf(Tensor::full({3}, DType::f64, 1.0, device_), [this](const Tensor& gradient) {
        first_gradients.push_back(gradient.values()[0]);
      });
    }
    const double factor = place + 2;
    const Tensor out = Tensor::full({3}, DType::f64, in.values()[0] * factor, device_);
    Tensor y = record(
        Operator("scale", in.stream()), out, {in},
        [factor](const Tensor& g, InputGradients& inputs) {
          inputs.add(0, Tensor::full(g.shape(), g.dtype(), g.values()[0] * factor, g.device()));
        },
        [this, chunk](const Tensor&) { weights.push_back(chunk); });
    if (place + 1 < pipeline_.virtual_stage_count()) return y;
    losses.push_back(3.0 * y.values()[0]);
    return record(
        Operator("sum", y.stream()), Tensor::full({1}, DType::f64, losses.back(), device_), {y},
        [micro](const Tensor& g, InputGradients& inputs) {
          inputs.add(0, Tensor::full({3}, DType::f64, g.item() * static_cast<double>(micro + 1),
                                     g.device()));
        });
  }
  void forwards_done(bool backward_begun) override {
    ++done;
    begun = backward_begun;
  }

  std::vector<double> first_gradients;
  std::vector<double> losses;
  std::vector<int> weights;  // chunks whose weight gradients ran
  int done = 0;
  bool begun = false;

 private:
  const Pipeline& pipeline_;
  int stage_;
  std::shared_ptr<Device> device_;
};

void check(PipelineSchedule schedule, int stages, int chunks) {
  const Pipeline pipeline(schedule, stages, chunks, kMicroBatches);
  double product = 1;
  for (int place = 0; place < pipeline.virtual_stage_count(); ++place) product *= place + 2;
  run_ranks(stages, [&](int rank, std::shared_ptr<Communicator> world) {
    auto device = Device::cpu(1);
    const Mesh mesh(MeshShape::of({.pp = stages}), world);
    PipelineRunner runner(pipeline, mesh, device);
    Scaling stage(pipeline, rank, device);
    const PipelineTimes times = runner.run(stage, {3}, DType::f64, nullptr);
    EXPECT_GE(times.all, times.compute());
    EXPECT_EQ(stage.done, 1);
    EXPECT_EQ(stage.weights.size(), static_cast<size_t>(kMicroBatches * chunks));
    if (schedule == PipelineSchedule::gpipe) {
      EXPECT_FALSE(stage.begun);
    }
    if (rank + 1 == stages) {
      EXPECT_EQ(stage.losses, std::vector<double>(kMicroBatches, 3.0 * product));
    }
    if (rank == 0) {
      std::vector<double> expected;
      for (int64_t micro = 1; micro <= kMicroBatches; ++micro) {
        expected.push_back(product * static_cast<double>(micro));
      }
      EXPECT_EQ(stage.first_gradients, expected);
    }
  });
}

TEST(PipelineRunner, ValuesAndGradientsReachTheirStages) {
  for (int stages = 1; stages <= 4; ++stages) {
    check(PipelineSchedule::gpipe, stages, 1);
    check(PipelineSchedule::one_f_one_b, stages, 1);
    check(PipelineSchedule::zero_bubble, stages, 1);
  }
  check(PipelineSchedule::interleaved, 2, 3);
  check(PipelineSchedule::interleaved, 4, 2);
}

TEST(PipelineRunner, AFailedStageStopsTheOthers) {
  class Failing final : public PipelineStage {
   public:
    Tensor forward(int, int64_t, const Tensor&) override { fail(ExitCode::numbers, "no value"); }
    void forwards_done(bool) override {}
  };
  const Pipeline pipeline(PipelineSchedule::one_f_one_b, 2, 1, kMicroBatches);
  EXPECT_THROW(run_ranks(2,
                         [&](int, std::shared_ptr<Communicator> world) {
                           const Mesh mesh(MeshShape::of({.pp = 2}), world);
                           PipelineRunner runner(pipeline, mesh, Device::cpu(1));
                           Failing stage;
                           runner.run(stage, {3}, DType::f64, nullptr);
                         }),
               Error);
}

}  // namespace
}  // namespace troupe
