// Readers of other programs' files on damaged and hostile ones: read, or refused with code 4 and a
// short message without control characters; never anything else.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/base/error.h"
#include "core/formats/safetensors.h"
#include "core/formats/safetensors_folder.h"
#include "tests/core/io/temporary_directory.h"
#include "tests/support/mutate_text.h"

namespace troupe {
namespace {

// 10,000 in the fast tests; the long one asks for 1,000,000.
int64_t cases() {
  const char* wanted = std::getenv("TROUPE_FUZZ_CASES");
  return wanted == nullptr ? 10000 : std::atoll(wanted);
}

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Was it read?
bool try_reading(const std::function<void()>& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.code(), ExitCode::checkpoint) << message;
    EXPECT_LT(message.size(), 6000U) << message;
    for (const unsigned char c : message) EXPECT_TRUE(c >= 0x20 || c == '\n') << message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not one of ours: " << error.what();
  }
  return false;
}

// Some of both must come, or nothing was tried.
void run_cases(const std::function<bool(std::mt19937_64&)>& one) {
  int64_t good = 0;
  const int64_t count = cases();
  for (int64_t i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    std::mt19937_64 random(static_cast<uint64_t>(i));
    SCOPED_TRACE(i);
    good += one(random) ? 1 : 0;
  }
  EXPECT_GT(good, count / 1000);
  EXPECT_LT(good, count * 9 / 10);
}

TEST(FormatFuzz, Safetensors) {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x.safetensors";
  SafetensorsWriter writer(path,
                           {{"model.a", StoredType::f32, {3, 2}, 0, 0},
                            {"model.b", StoredType::bf16, {4}, 0, 0},
                            {"c", StoredType::u8, {}, 0, 0}},
                           {{"format", "pt"}});
  writer.commit();
  std::string valid;
  {
    std::ifstream in(path, std::ios::binary);
    valid.assign(std::istreambuf_iterator<char>(in), {});
    valid.resize(static_cast<size_t>(writer.file_bytes()), 'x');
  }
  uint64_t length = 0;
  std::memcpy(&length, valid.data(), 8);
  run_cases([&](std::mt19937_64& random) {
    std::string bytes = valid;
    if (random() % 4 == 0) {
      bytes = test::mutated(std::move(bytes), random);
    } else {  // a header whose length is right
      const std::string header = test::mutated(valid.substr(8, length), random);
      const uint64_t now = header.size();
      bytes.replace(8, length, header);
      std::memcpy(bytes.data(), &now, 8);
    }
    write(path, bytes);
    return try_reading([&] {
      const SafetensorsFile file(path);
      std::vector<std::byte> data;
      for (const SavedTensor& tensor : file.tensors()) {
        data.resize(static_cast<size_t>(tensor.bytes));
        file.read(tensor, 0, tensor.bytes, data.data());
      }
    });
  });
}

TEST(FormatFuzz, Index) {
  const test::TemporaryDirectory folder;
  for (const char* name : {"model-00001-of-00002", "model-00002-of-00002"}) {
    SafetensorsWriter writer(folder / name + std::string(".safetensors"),
                             {{std::string("w.") + name[10], StoredType::f32, {2}, 0, 0}}, {});
    const std::vector<std::byte> zeros(8);
    writer.write(0, 0, zeros.data(), 8);
    writer.commit();
  }
  const std::string valid =
      R"({"metadata":{"total_size":16},"weight_map":{"w.1":"model-00001-of-00002.safetensors",)"
      R"("w.2":"model-00002-of-00002.safetensors"}})";
  run_cases([&](std::mt19937_64& random) {
    write(folder / kWeightsIndex, test::mutated(valid, random));
    return try_reading([&] { open_safetensors(folder.path()); });
  });
}

}  // namespace
}  // namespace troupe
