#include "core/io/atomic_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "core/base/error.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

std::string contents(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

template <typename F>
std::string resource_error(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resource);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(AtomicFile, ReplacesAtOnce) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "file.txt";
  write_file_atomically(path, "old");
  {
    AtomicFile file(path);
    std::ofstream(file.temporary_path()) << "new";
    EXPECT_EQ(contents(path), "old");
    file.commit();
  }
  EXPECT_EQ(contents(path), "new");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "file.txt";
  write_file_atomically(path, "old");
  {
    AtomicFile file(path);
    std::ofstream(file.temporary_path()) << "new";
  }
  EXPECT_EQ(contents(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(AtomicFile, ErrorsNamePathReasonAndFix) {
  const test::TemporaryDirectory dir;
  const std::string missing = dir / "none/file.txt";
  const std::string message = resource_error([&] { write_file_atomically(missing, "x"); });
  EXPECT_NE(message.find(missing), std::string::npos) << message;
  EXPECT_NE(message.find("No such file"), std::string::npos) << message;
  write_file_atomically(dir / "file", "x");
  resource_error([&] { make_directories(dir / "file/below"); });
  EXPECT_NE(resource_error([&] { fail_io("write", "F", ENOSPC); }).find("Free space"),
            std::string::npos);
  resource_error([&] { require_space(dir.path(), int64_t{1} << 60); });
  require_space(dir.path(), 1);
}

TEST(AtomicFile, MakesParents) {
  const test::TemporaryDirectory dir;
  make_directories(dir / "a/b/c");
  make_directories(dir / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(dir / "a/b/c"));
}

}  // namespace
}  // namespace troupe
