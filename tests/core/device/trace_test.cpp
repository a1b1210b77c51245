// What a trace records, from operators, loops and phases of known nesting.
#include <gtest/gtest.h>

#include "core/base/phase_clock.h"
#include "core/device/cpu/parallel_for.h"
#include "core/device/operator.h"

namespace troupe {
namespace {

TEST(Trace, OperatorsNestAndKnowTheirPlace) {
  int layer = 3;
  Trace trace(2, [&] { return TracePlace{layer, 1, "forward"}; });
  {
    Stream stream{nullptr, 2, &trace};
    const Operator outer("outer", stream);
    EXPECT_STREQ(outer, "outer");
    layer = 4;
    const Operator inner("inner", stream, TracePart::weight_gradient);
    EXPECT_EQ(trace.running(), 1U);
  }
  EXPECT_EQ(trace.running(), SIZE_MAX);
  ASSERT_EQ(trace.operators().size(), 2U);
  const OperatorSpan& outer = trace.operators()[0];
  const OperatorSpan& inner = trace.operators()[1];
  EXPECT_STREQ(outer.name, "outer");
  EXPECT_EQ(outer.depth, 0);
  EXPECT_EQ(outer.place.layer, 3);
  EXPECT_EQ(inner.depth, 1);
  EXPECT_EQ(inner.place.layer, 4);
  EXPECT_EQ(inner.part, TracePart::weight_gradient);
  EXPECT_LE(outer.begin, inner.begin);
  EXPECT_LE(inner.begin, inner.end);
  EXPECT_LE(inner.end, outer.end);
}

TEST(Trace, WithoutOneNothingHappens) {
  const auto device = Device::cpu();
  const Operator op("nothing", device->stream());
  PhaseClock clock;
  clock.set_trace(nullptr);
  PhaseScope phase(&clock, Phase::forward);
}

// Every piece is some thread's, within the operator that made the loop.
TEST(Trace, ThreadsAreSeenAtTheirPieces) {
  for (const int threads : {1, 2}) {
    const auto device = Device::cpu(threads);
    Trace trace(threads);
    device->stream().trace = &trace;
    {
      const Operator op("loop", device->stream());
      parallel_for(device->stream(), 7, [](int64_t) {});
    }
    parallel_for(device->stream(), 3, [](int64_t) {});
    device->stream().trace = nullptr;
    int64_t inside = 0;
    int64_t outside = 0;
    for (const auto& thread : trace.threads()) {
      for (const ThreadSpan& span : thread) {
        (span.op == 0 ? inside : outside) += span.pieces;
        EXPECT_LE(span.begin, span.end);
        if (span.op == 0) {
          EXPECT_LE(span.end, trace.operators()[0].end);
        }
      }
    }
    EXPECT_EQ(inside, 7);
    EXPECT_EQ(outside, 3);
  }
}

TEST(Trace, PhasesFollowEachOtherWithoutGaps) {
  Trace trace(1);
  PhaseClock clock;
  clock.set_trace(&trace);
  {
    PhaseScope forward(&clock, Phase::forward);
    PhaseScope comm(&clock, Phase::comm);
  }
  clock.set_trace(nullptr);
  ASSERT_GE(trace.phases().size(), 1U);
  for (size_t i = 1; i < trace.phases().size(); ++i) {
    EXPECT_EQ(trace.phases()[i].begin, trace.phases()[i - 1].end);
  }
  const size_t before = trace.phases().size();
  { PhaseScope later(&clock, Phase::optimizer); }
  EXPECT_EQ(trace.phases().size(), before);
}

}  // namespace
}  // namespace troupe
