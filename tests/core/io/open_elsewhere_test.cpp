// A file that another program writes is not called damaged.
#include "core/io/open_elsewhere.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>

#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

// A superblock of this version behind a user block.
std::string superblock(size_t behind, int version, char flags) {
  std::string bytes(behind, 'u');
  bytes += "\x89HDF\r\n\x1a\n";
  bytes += static_cast<char>(version);
  bytes.append(100, '\0');
  bytes[behind + (version < 2 ? 20 : 11)] = flags;
  return bytes;
}

bool refused(const std::string& path, const std::string& words) {
  try {
    refuse_if_open_elsewhere(path);
    return false;
  } catch (const OpenElsewhere& error) {
    EXPECT_EQ(error.code(), ExitCode::checkpoint);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    return true;
  }
}

TEST(OpenElsewhere, TheMarkOfHdf5) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "file";
  for (const size_t behind : {0, 512, 8192}) {
    for (const int version : {0, 2, 3}) {
      for (const char flags : {0, 1, 4, 5}) {
        std::ofstream(path, std::ios::binary) << superblock(behind, version, flags);
        EXPECT_EQ(refused(path, "h5clear -s " + path), flags == 1 || flags == 5);
      }
    }
  }
}

TEST(OpenElsewhere, ALockForWriting) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "file";
  std::ofstream(path) << "anything";
  EXPECT_FALSE(refused(path, ""));
  const int other = ::open(path.c_str(), O_RDWR);
  ASSERT_EQ(::flock(other, LOCK_SH), 0);
  EXPECT_FALSE(refused(path, ""));
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  EXPECT_TRUE(refused(path, "open in another program"));
  ::close(other);
  EXPECT_FALSE(refused(path, ""));
  EXPECT_FALSE(refused(dir / "none", ""));
  EXPECT_FALSE(refused(dir.path(), ""));
}

}  // namespace
}  // namespace troupe
