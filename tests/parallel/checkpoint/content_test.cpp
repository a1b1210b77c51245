#include "parallel/checkpoint/content.h"

#include <gtest/gtest.h>

#include "parallel/comm/self_communicator.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

TEST(CheckpointContent, IsThatOfTensorsAndScalarsOnly) {
  const test::TemporaryDirectory dir;
  const auto world = self_communicator();
  const auto saved = [&](const std::string& name, int64_t step, double value,
                         const checkpoint::SaveOptions& options) {
    State state;
    state.tensors.push_back(replicated_state(
        "parameters/weight", Tensor::full({4, 3}, DType::f32, value, Device::cpu())));
    state.scalars = {{"step", step}};
    checkpoint::save(dir / name, state, *world, options);
    return checkpoint::content_digest(checkpoint::read_info(dir / name));
  };
  const Digest content = saved("a.h5", 3, 1.0, {.config = "one"});
  EXPECT_EQ(saved("b.h5", 3, 1.0, {.config = "two"}), content);
  EXPECT_EQ(saved("shards.h5", 3, 1.0, {.config = "one", .shard_above = 0}), content);
  EXPECT_NE(saved("step.h5", 4, 1.0, {.config = "one"}), content);
  EXPECT_NE(saved("value.h5", 3, 1.5, {.config = "one"}), content);
}

}  // namespace
}  // namespace troupe
