#include "core/io/posix_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace troupe {
namespace {

constexpr int64_t kPiece = 1 << 20;
constexpr int64_t kPieces = 64;

char filling(int64_t piece) { return static_cast<char>('a' + piece % 23); }

// Bytes of the file that are in the page cache.
int64_t cached_bytes(const PosixFile& file) {
  const auto bytes = static_cast<size_t>(file.size());
  void* mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  EXPECT_NE(mapped, MAP_FAILED);
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  std::vector<unsigned char> cached(bytes / static_cast<size_t>(page));
  EXPECT_EQ(::mincore(mapped, bytes, cached.data()), 0);
  ::munmap(mapped, bytes);
  int64_t pages = 0;
  for (const unsigned char one : cached) pages += one & 1;
  return pages * page;
}

TEST(PosixFile, WriteBehindKeepsTheBytesAndLeavesThePageCache) {
  // Not where the other tests are, in memory.
  std::string path = (std::filesystem::temp_directory_path() / "troupe_test_XXXXXX").string();
  const int made = ::mkstemp(path.data());
  ASSERT_GE(made, 0);
  ::close(made);
  PosixFile file = PosixFile::open(path, O_RDWR, "write");
  ::unlink(path.c_str());
  for (int64_t piece = 0; piece < kPieces; ++piece) {
    const std::string bytes(static_cast<size_t>(kPiece), filling(piece));
    file.write_at(piece * kPiece, bytes.data(), kPiece);
    file.write_behind();
  }
  struct statfs system {};
  ASSERT_EQ(::fstatfs(file.descriptor(), &system), 0);
  // A file system in memory keeps them. Elsewhere two windows of 16 MiB may be under way.
  if (system.f_type != TMPFS_MAGIC) {
    EXPECT_LE(cached_bytes(file), 40 * kPiece);
  }
  file.sync();
  std::string bytes(static_cast<size_t>(kPiece), '\0');
  for (int64_t piece = 0; piece < kPieces; ++piece) {
    ASSERT_EQ(file.read_at(piece * kPiece, bytes.data(), kPiece), kPiece);
    ASSERT_EQ(bytes, std::string(static_cast<size_t>(kPiece), filling(piece))) << piece;
  }
  file.close();
}

}  // namespace
}  // namespace troupe
