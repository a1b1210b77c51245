#include "parallel/checkpoint/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/structure_check.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

using test::make_state;

class CheckpointCompare : public testing::Test {
 protected:
  void SetUp() override {
    a_ = make_state(MeshShape::data_expert(1, 1), 0, Device::cpu(), 1);
    b_ = make_state(MeshShape::data_expert(1, 1), 0, Device::cpu(), 1);
  }
  checkpoint::Comparison compare() {
    const auto world = self_communicator();
    checkpoint::save(dir_ / "a.h5", a_, *world, {.config = "a"});
    checkpoint::save(dir_ / "b.h5", b_, *world, {.config = config_});
    return checkpoint::compare(dir_ / "a.h5", dir_ / "b.h5");
  }
  StateTensor& in_b(const std::string& name) {
    return *std::find_if(b_.tensors.begin(), b_.tensors.end(),
                         [&](const StateTensor& t) { return t.name == name; });
  }
  test::TemporaryDirectory dir_;
  State a_;
  State b_;
  std::string config_ = "a";
};

TEST_F(CheckpointCompare, EqualFiles) {
  const auto result = compare();
  EXPECT_TRUE(result.equal());
  EXPECT_EQ(result.compared, static_cast<int64_t>(a_.tensors.size()));
  EXPECT_EQ(checkpoint::check_structure(dir_ / "a.h5"), "");
}

TEST_F(CheckpointCompare, NamesFirstAndLargest) {
  auto* moment = in_b("optimizer/first_moment/embedding").tensor.data<float>();
  moment[3] += 1e-3F;
  auto* norm = in_b("parameters/layers.0.norm").tensor.data<double>();
  double largest = 0;
  for (int i = 0; i < 12; ++i) largest = std::max(largest, std::abs(norm[i]));
  norm[5] += 0.5;
  b_.scalars[0].value = int64_t{2};
  config_ = "# written elsewhere\na";
  EXPECT_FALSE(compare().config_differs);
  config_ = "b";
  const auto result = compare();
  EXPECT_FALSE(result.equal());
  EXPECT_TRUE(result.config_differs);
  EXPECT_EQ(result.scalars, std::vector<std::string>{"step: 1 and 2"});
  ASSERT_EQ(result.tensors.size(), 2U);
  EXPECT_EQ(result.tensors[0].name, "optimizer/first_moment/embedding");
  EXPECT_EQ(result.tensors[0].elements, 1);
  ASSERT_NE(result.largest(), nullptr);
  EXPECT_EQ(result.largest()->name, "parameters/layers.0.norm");
  EXPECT_NEAR(result.largest()->relative, 0.5 / largest, 1e-12);
}

TEST_F(CheckpointCompare, NaNShapeAndMissing) {
  in_b("router/layers.0.bias").tensor.data<double>()[0] = std::nan("");
  in_b("router/layers.0.table").name = "router/layers.0.tables";
  const auto result = compare();
  ASSERT_EQ(result.tensors.size(), 3U);
  EXPECT_TRUE(std::isinf(result.tensors[0].relative));
  EXPECT_EQ(result.tensors[1].problem, "only in A");
  EXPECT_EQ(result.tensors[2].problem, "only in B");
}

TEST_F(CheckpointCompare, OtherBitsOfEqualValues) {
  a_.tensors[0].tensor.data<float>()[0] = 0.0F;
  b_.tensors[0].tensor.data<float>()[0] = -0.0F;
  const auto result = compare();
  ASSERT_EQ(result.tensors.size(), 1U);
  EXPECT_NE(result.tensors[0].problem.find("equal values"), std::string::npos);
}

}  // namespace
}  // namespace troupe
