#include "core/io/file_hash.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

ExitCode code_of(const std::string& path) {
  try {
    FileHasher hasher(path);
    while (!hasher.advance(1 << 20)) {
    }
  } catch (const Error& error) {
    return error.code();
  }
  return ExitCode::ok;
}

TEST(FileHash, IsThatOfTheBytesInAnyPieces) {
  const test::TemporaryDirectory dir;
  std::string text;
  for (int i = 0; i < 300000; ++i) text += static_cast<char>(i * 31 % 251);
  for (const std::string& bytes : {text, std::string(), std::string("a")}) {
    write(dir / "f", bytes);
    for (const int64_t piece : {int64_t{1} << 30, int64_t{100000}, int64_t{70001}}) {
      FileHasher hasher(dir / "f");
      while (!hasher.advance(piece)) {
      }
      EXPECT_EQ(hasher.hash(), XXH3_64bits(bytes.data(), bytes.size()));
      EXPECT_EQ(hasher.done(), static_cast<int64_t>(bytes.size()));
      EXPECT_EQ(hasher.stamp(), stamp_of(dir / "f"));
    }
  }
}

TEST(FileHash, AFileThatChangesMeanwhileOrCannotBeReadIsRefused) {
  const test::TemporaryDirectory dir;
  write(dir / "f", std::string(1000, 'a'));
  FileHasher hasher(dir / "f");
  EXPECT_FALSE(hasher.advance(10));
  std::ofstream(dir / "f", std::ios::app) << "more";
  EXPECT_THROW(
      {
        while (!hasher.advance(100)) {
        }
      },
      Error);
  EXPECT_EQ(code_of(dir / "none"), ExitCode::data);
  EXPECT_EQ(code_of(dir.path()), ExitCode::data);
  EXPECT_THROW(stamp_of(dir / "none"), Error);
}

TEST(FileHash, TheStampTellsAReplacedFileOfEqualSize) {
  const test::TemporaryDirectory dir;
  write(dir / "f", "abcd");
  const FileStamp before = stamp_of(dir / "f");
  write(dir / "g", "efgh");
  std::filesystem::last_write_time(dir / "g", std::filesystem::last_write_time(dir / "f"));
  std::filesystem::rename(dir / "g", dir / "f");
  EXPECT_NE(stamp_of(dir / "f"), before);
}

}  // namespace
}  // namespace troupe
