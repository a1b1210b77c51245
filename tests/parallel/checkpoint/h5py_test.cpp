// Another program reads the file: h5py sees every tensor under its logical name with our bytes.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <sstream>

#include "core/io/hash.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

// Output of a command; `status` as pclose gives it.
std::string output_of(const std::string& command, int& status) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer{};
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), got);
  }
  status = ::pclose(pipe);
  return out;
}

std::string hex(const void* data, size_t bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < bytes; ++i) {
    const auto byte = static_cast<const unsigned char*>(data)[i];
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out.empty() ? "-" : out;
}

TEST(CheckpointH5py, ReadsEveryTensor) {
  int status = 0;
  output_of("/usr/bin/python3 -c 'import h5py' 2>/dev/null", status);
  if (status != 0) GTEST_SKIP() << "python3-h5py is not installed: not tested";
  const test::TemporaryDirectory dir;
  const State state = test::make_state(MeshShape::data_expert(1, 1), 0, Device::cpu(), 4);
  const auto world = self_communicator();
  checkpoint::save(dir / "step-00000004.h5", state, *world, {.config = "version: 1"});
  const std::string out = output_of("/usr/bin/python3 " TROUPE_SOURCE_DIR
                                    "/tests/parallel/checkpoint/read_with_h5py.py " +
                                        (dir / "step-00000004.h5") + " 2>&1",
                                    status);
  ASSERT_EQ(status, 0) << out;
  std::map<std::string, std::array<std::string, 4>> tensors;
  std::map<std::string, std::string> others;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind;
    std::string name;
    words >> kind >> name;
    if (kind == "tensor") {
      auto& entry = tensors[name];
      words >> entry[0] >> entry[1] >> entry[2] >> entry[3];
    } else {
      std::getline(words, others[kind + " " + name]);
    }
  }
  const std::map<DType, std::string> names = {{DType::f64, "float64"}, {DType::f32, "float32"},
                                              {DType::bf16, "bf16"},   {DType::i64, "int64"},
                                              {DType::i32, "int32"},   {DType::u8, "uint8"}};
  EXPECT_EQ(tensors.size(), state.tensors.size());
  for (const StateTensor& entry : state.tensors) {
    const auto& seen = tensors[entry.name];
    const std::string_view bytes(static_cast<const char*>(entry.tensor.view().data),
                                 entry.tensor.bytes());
    EXPECT_EQ(seen[0], names.at(entry.tensor.dtype())) << entry.name;
    EXPECT_EQ(seen[2], digest_of(bytes).hex()) << entry.name;
    EXPECT_EQ(seen[3], hex(bytes.data(), bytes.size())) << entry.name;
  }
  EXPECT_EQ(others["format troupe"], " checkpoint 1");
  EXPECT_EQ(others["text config"], " version: 1");
  EXPECT_EQ(others["scalar scalars/step"], " 4");
  EXPECT_EQ(others["scalar scalars/lr"], " 0.4");
  EXPECT_EQ(others["text scalars/name"], " run 4");
}

}  // namespace
}  // namespace troupe
