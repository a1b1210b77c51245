#include "core/io/hdf5/hdf5_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <sstream>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

TEST(Hdf5File, BoxesTextsAndAttributes) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "f.h5";
  std::vector<float> all(4 * 6);
  std::iota(all.begin(), all.end(), 0.0F);
  {
    Hdf5File file = Hdf5File::create(path, 512);
    file.set_attribute("version", int64_t{7});
    file.set_attribute("half", 0.5);
    Hdf5Dataset data = file.create_dataset("/a/b/c", DType::f32, Shape{4, 6});
    data.write(Shape{0, 0}, Shape{4, 3}, std::vector<float>(12, -1).data());
    data.write(Shape{0, 3}, Shape{4, 3}, std::vector<float>(12, -2).data());
    data.write(Shape{0, 0}, Shape{4, 6}, all.data());
    data.set_attribute("digest", std::string("abc"));
    data.close();
    file.write_text("/text", "two\nlines");
    file.write_text("/empty", "");
    file.close();
  }
  Hdf5File file = Hdf5File::open(path);
  EXPECT_EQ(std::get<int64_t>(file.attribute("version")), 7);
  EXPECT_EQ(std::get<double>(file.attribute("half")), 0.5);
  EXPECT_EQ(file.read_text("/text"), "two\nlines");
  EXPECT_EQ(file.read_text("/empty"), "");
  Hdf5Dataset data = file.dataset("/a/b/c");
  EXPECT_EQ(data.dtype(), DType::f32);
  EXPECT_EQ(data.shape(), (Shape{4, 6}));
  EXPECT_EQ(std::get<std::string>(data.attribute("digest")), "abc");
  std::vector<float> part(4);
  data.read(Shape{1, 2}, Shape{2, 2}, part.data());
  EXPECT_EQ(part, (std::vector<float>{8, 9, 14, 15}));
  // The bytes stand where file_offset says.
  std::ifstream raw(path, std::ios::binary);
  raw.seekg(data.file_offset());
  std::vector<float> found(all.size());
  raw.read(reinterpret_cast<char*>(found.data()), static_cast<std::streamsize>(all.size() * 4));
  EXPECT_EQ(found, all);
}

TEST(Hdf5File, EveryTypeAndShape) {
  const test::TemporaryDirectory dir;
  Hdf5File file = Hdf5File::create(dir / "f.h5", 0);
  int number = 0;
  for (const DType dtype :
       {DType::f64, DType::f32, DType::bf16, DType::i64, DType::i32, DType::u8}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{0, 2}, Shape{1, 2, 1, 2, 1, 2}}) {
      std::vector<unsigned char> bytes(static_cast<size_t>(shape.elements()) * size_of(dtype));
      std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(number));
      Shape zero = shape;
      for (int i = 0; i < zero.rank(); ++i) zero[i] = 0;
      const std::string path = "/d" + std::to_string(number++);
      Hdf5Dataset out = file.create_dataset(path, dtype, shape);
      out.write(zero, shape, bytes.data());
      std::vector<unsigned char> read(bytes.size());
      out.read(zero, shape, read.data());
      EXPECT_EQ(read, bytes);
      EXPECT_EQ(out.dtype(), dtype);
      EXPECT_EQ(out.shape(), shape);
      if (dtype == DType::bf16) {
        EXPECT_EQ(std::get<std::string>(out.attribute("dtype")), "bf16");
      }
      out.close();
    }
  }
  file.close();
}

template <typename F>
std::string error_of(ExitCode code, F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// Errors say which file and why; HDF5 itself prints nothing.
TEST(Hdf5File, Errors) {
  const test::TemporaryDirectory dir;
  testing::internal::CaptureStderr();
  const std::string missing =
      error_of(ExitCode::checkpoint, [&] { Hdf5File::open(dir / "none.h5"); });
  EXPECT_NE(missing.find("none.h5"), std::string::npos);
  EXPECT_NE(missing.find("No such file"), std::string::npos) << missing;
  error_of(ExitCode::resource, [&] { Hdf5File::create(dir / "no/f.h5", 0); });
  std::ofstream(dir / "text.h5") << "not HDF5";
  error_of(ExitCode::checkpoint, [&] { Hdf5File::open(dir / "text.h5"); });
  Hdf5File::create(dir / "f.h5", 0).close();
  Hdf5File file = Hdf5File::open(dir / "f.h5");
  EXPECT_NE(error_of(ExitCode::checkpoint, [&] { file.dataset("/w"); }).find("/w"),
            std::string::npos);
  error_of(ExitCode::checkpoint, [&] { file.read_text("/w"); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Hdf5File, ThreadsWriteTheirOwnFiles) {
  const test::TemporaryDirectory dir;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&dir, t] {
      Hdf5File file = Hdf5File::create(dir / (std::to_string(t) + ".h5"), 512);
      for (int i = 0; i < 20; ++i) {
        Hdf5Dataset data = file.create_dataset("/d" + std::to_string(i), DType::i32, Shape{1});
        const int32_t value = t * 100 + i;
        data.write(Shape{0}, Shape{1}, &value);
        data.close();
      }
      file.close();
    });
  }
  for (auto& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) {
    Hdf5File file = Hdf5File::open(dir / (std::to_string(t) + ".h5"));
    int32_t value = 0;
    file.dataset("/d7").read(Shape{0}, Shape{1}, &value);
    EXPECT_EQ(value, t * 100 + 7);
  }
}

}  // namespace
}  // namespace troupe
