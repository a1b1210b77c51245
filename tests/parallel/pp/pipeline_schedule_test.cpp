#include "parallel/pp/pipeline_schedule.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "core/base/error.h"
#include "parallel/pp/simulation.h"

namespace troupe {
namespace {

// Every legal pipeline of up to 4 stages, 3 chunks and 12 micro-batches.
std::vector<Pipeline> all_pipelines() {
  std::vector<Pipeline> out;
  for (const PipelineSchedule schedule :
       {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved,
        PipelineSchedule::zero_bubble}) {
    for (int stages = 1; stages <= 4; ++stages) {
      for (int chunks = 1; chunks <= 3; ++chunks) {
        for (int64_t micro = 1; micro <= 12; ++micro) {
          if (chunks > 1 && (schedule != PipelineSchedule::interleaved || micro % stages != 0))
            continue;
          out.emplace_back(schedule, stages, chunks, micro);
        }
      }
    }
  }
  return out;
}

std::string text(const Pipeline& p) {
  return "schedule " + std::to_string(static_cast<int>(p.schedule)) + ", " +
         std::to_string(p.stages) + " stages x " + std::to_string(p.chunks) + ", " +
         std::to_string(p.micro_batches) + " micro-batches";
}

TEST(PipelineSchedule, EveryChunkMeetsEveryMicroBatchOnceAndInOrder) {
  for (const Pipeline& pipeline : all_pipelines()) {
    for (int stage = 0; stage < pipeline.stages; ++stage) {
      std::map<std::pair<PipelineAction, int>, int64_t> next;
      for (const PipelineStep& step : pipeline_steps(pipeline, stage)) {
        EXPECT_EQ(step.micro_batch, (next[{step.action, step.chunk}]++)) << text(pipeline);
        const auto done = [&](PipelineAction action) { return next[{action, step.chunk}]; };
        // Nothing goes back before it went forward, nor adds weights before inputs.
        if (step.action == PipelineAction::backward ||
            step.action == PipelineAction::input_gradient) {
          EXPECT_LT(step.micro_batch, done(PipelineAction::forward)) << text(pipeline);
        }
        if (step.action == PipelineAction::weight_gradient) {
          EXPECT_LT(step.micro_batch, done(PipelineAction::input_gradient)) << text(pipeline);
        }
      }
      const bool split = pipeline.schedule == PipelineSchedule::zero_bubble;
      for (int chunk = 0; chunk < pipeline.chunks; ++chunk) {
        const auto count = [&](PipelineAction action) { return next[{action, chunk}]; };
        const int64_t all = pipeline.micro_batches;
        const int virtual_stage = pipeline.virtual_stage(stage, chunk);
        const int64_t before = virtual_stage > 0 ? all : 0;
        const int64_t after = virtual_stage + 1 < pipeline.virtual_stage_count() ? all : 0;
        EXPECT_EQ(count(PipelineAction::forward), all);
        EXPECT_EQ(count(PipelineAction::backward), split ? 0 : all);
        EXPECT_EQ(count(PipelineAction::input_gradient), split ? all : 0);
        EXPECT_EQ(count(PipelineAction::weight_gradient), split ? all : 0);
        EXPECT_EQ(count(PipelineAction::receive_value), before);
        EXPECT_EQ(count(PipelineAction::send_gradient), before);
        EXPECT_EQ(count(PipelineAction::send_value), after);
        EXPECT_EQ(count(PipelineAction::receive_gradient), after);
      }
    }
  }
}

TEST(PipelineSchedule, RunsWithThePromisedBubbleAndMemory) {
  for (const Pipeline& pipeline : all_pipelines()) {
    std::vector<ChunkTime> costs = {{1, 1, 1}};
    // Only zero_bubble asks for equal times.
    if (pipeline.schedule != PipelineSchedule::zero_bubble) {
      costs.push_back({1, 2, 3});
      costs.push_back({3, 1, 0.5});
    }
    for (const ChunkTime& time : costs) {
      const std::vector<ChunkTime> times(static_cast<size_t>(pipeline.virtual_stage_count()), time);
      const SimulatedRun run = simulate(pipeline, times);
      const double work =
          static_cast<double>(pipeline.micro_batches * pipeline.chunks) * time.all();
      EXPECT_NEAR(run.seconds - work, bubble_time(pipeline, time), 1e-9) << text(pipeline);
      EXPECT_NEAR(run.bubble(), bubble_share(pipeline, time), 1e-9) << text(pipeline);
      for (int stage = 0; stage < pipeline.stages; ++stage) {
        EXPECT_NEAR(run.busy[static_cast<size_t>(stage)], work, 1e-9);
        EXPECT_EQ(run.in_flight[static_cast<size_t>(stage)], promised_in_flight(pipeline, stage))
            << text(pipeline) << " stage " << stage;
      }
    }
  }
}

TEST(PipelineSchedule, FormulasOfTheLiterature) {
  const ChunkTime even;
  EXPECT_DOUBLE_EQ(bubble_share({PipelineSchedule::gpipe, 4, 1, 8}, even), 3.0 / 11.0);
  EXPECT_DOUBLE_EQ(bubble_share({PipelineSchedule::one_f_one_b, 4, 1, 8}, even), 3.0 / 11.0);
  EXPECT_DOUBLE_EQ(bubble_share({PipelineSchedule::interleaved, 4, 2, 8}, even), 3.0 / 19.0);
  EXPECT_DOUBLE_EQ(bubble_share({PipelineSchedule::zero_bubble, 4, 1, 8}, even), 1.0 / 9.0);
  EXPECT_EQ(promised_in_flight({PipelineSchedule::one_f_one_b, 4, 1, 8}, 0), 4);
  EXPECT_EQ(promised_in_flight({PipelineSchedule::one_f_one_b, 4, 1, 8}, 3), 1);
  EXPECT_EQ(promised_in_flight({PipelineSchedule::zero_bubble, 4, 1, 8}, 3), 4);
}

TEST(PipelineSchedule, OneStageHasNoMessages) {
  const std::vector<PipelineStep> expected = {{PipelineAction::forward, 0, 0},
                                              {PipelineAction::backward, 0, 0},
                                              {PipelineAction::forward, 0, 1},
                                              {PipelineAction::backward, 0, 1}};
  EXPECT_EQ(pipeline_steps({PipelineSchedule::one_f_one_b, 1, 1, 2}, 0), expected);
  Parallelism parallelism;
  parallelism.schedule = PipelineSchedule::interleaved;
  parallelism.virtual_stages = 3;
  EXPECT_EQ(pipeline_steps(Pipeline(parallelism, 2), 0), expected);
}

TEST(PipelineSchedule, RefusesWhatDoesNotFit) {
  EXPECT_THROW(Pipeline(PipelineSchedule::interleaved, 2, 2, 3), Error);
  EXPECT_THROW(Pipeline(PipelineSchedule::gpipe, 2, 2, 4), Error);
  EXPECT_NO_THROW(Pipeline(PipelineSchedule::interleaved, 2, 1, 3));
}

TEST(PipelineSchedule, UnevenStagesAreSimulated) {
  const std::vector<ChunkTime> times = {{1, 1, 1}, {2, 2, 2}};
  const SimulatedRun run = simulate({PipelineSchedule::one_f_one_b, 2, 1, 4}, times);
  // The slow stage never waits once it has begun; the fast one ends with its last backward.
  EXPECT_DOUBLE_EQ(run.seconds, 1 + 4 * 6 + 2);
  EXPECT_DOUBLE_EQ(run.busy[0], 12);
  EXPECT_DOUBLE_EQ(run.busy[1], 24);
}

TEST(PipelineSchedule, LayersAreContiguousAndTheFirstPlacesTakeMore) {
  for (int64_t layers = 1; layers <= 9; ++layers) {
    for (int virtual_stages = 1; virtual_stages <= layers; ++virtual_stages) {
      int64_t at = 0;
      int64_t before = layers;
      for (int virtual_stage = 0; virtual_stage < virtual_stages; ++virtual_stage) {
        const LayerRange range = layers_of_virtual_stage(layers, virtual_stages, virtual_stage);
        EXPECT_EQ(range.begin, at);
        const int64_t count = range.end - range.begin;
        EXPECT_LE(count, before);
        EXPECT_GE(count, layers / virtual_stages);
        EXPECT_LE(count, layers / virtual_stages + 1);
        before = count;
        at = range.end;
      }
      EXPECT_EQ(at, layers);
    }
  }
}

}  // namespace
}  // namespace troupe
