#include "core/ops/dummy.h"

#include <gtest/gtest.h>

#include "tests/core/ops/gradient_check.h"

namespace troupe {
namespace {

TEST(Dummy, Gradient) {
  testing::expect_gradients([](std::span<const Tensor> in) { return dummy(in[0]); },
                            {testing::random_tensor({3, 4}, 1)});
}

}  // namespace
}  // namespace troupe
