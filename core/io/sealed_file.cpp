#include "core/io/sealed_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/open_elsewhere.h"
#include "core/io/posix_file.h"

namespace troupe {
namespace {

constexpr int64_t kBufferBytes = 4LL << 20;

// Calls visit(begin, bytes) for the parts of the file outside the block and all entries, in order.
template <typename Visit>
void for_each_gap(const Seal& seal, Visit visit) {
  std::vector<const SealEntry*> by_offset;
  for (const SealEntry& entry : seal.entries) {
    if (entry.bytes > 0) by_offset.push_back(&entry);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  int64_t at = seal.block;
  for (const SealEntry* entry : by_offset) {
    if (entry->offset > at) visit(at, entry->offset - at);
    at = entry->offset + entry->bytes;
  }
  if (seal.size > at) visit(at, seal.size - at);
}

// read(offset, data, bytes) gives exactly `bytes` bytes or throws.
template <typename Read>
void add_range(Hasher& hasher, int64_t begin, int64_t bytes, std::vector<char>& buffer, Read read) {
  for (int64_t done = 0; done < bytes;) {
    const int64_t part = std::min<int64_t>(bytes - done, static_cast<int64_t>(buffer.size()));
    read(begin + done, buffer.data(), part);
    hasher.add(buffer.data(), part);
    done += part;
  }
}

void read_exactly(int descriptor, const std::string& path, int64_t offset, void* data,
                  int64_t bytes) {
  for (int64_t done = 0; done < bytes;) {
    const ssize_t got =
        ::pread(descriptor, static_cast<char*>(data) + done,
                static_cast<size_t>(std::min<int64_t>(bytes - done, 1 << 30)), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fail(ExitCode::checkpoint, "cannot read {} at byte {}: {}.", path, offset + done,
           got == 0 ? "the file became shorter" : std::strerror(errno));
    }
    done += got;
  }
}

}  // namespace

void fail_digest(const std::string& file, const std::string& entry, const Digest& expected,
                 const Digest& found) {
  refuse_if_open_elsewhere(file);
  fail(ExitCode::checkpoint,
       "{} is damaged in {}: expected digest {}, found {}. Take another checkpoint (troupe ckpt "
       "ls).",
       file, entry, expected.hex(), found.hex());
}

void seal_file(const std::string& path, int64_t block, std::vector<SealEntry> entries) {
  PosixFile file = PosixFile::open(path, O_RDWR, "open");
  Seal seal{.block = block, .size = file.size(), .entries = std::move(entries), .rest = {}};
  std::vector<char> buffer(static_cast<size_t>(kBufferBytes));
  Hasher rest;
  for_each_gap(seal, [&](int64_t begin, int64_t bytes) {
    add_range(rest, begin, bytes, buffer, [&](int64_t offset, void* data, int64_t part) {
      if (file.read_at(offset, data, part) != part) fail_io("read back", path, EIO);
    });
  });
  seal.rest = rest.digest();
  const std::string text = format_seal(seal);
  file.write_at(0, text.data(), static_cast<int64_t>(text.size()));
  file.sync();
  // What follows should read the disk, not the page cache; a hint only.
  ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
  file.close();
}

SealedFile::SealedFile(const std::string& path) : path_(path) {
  do {
    // Opening a pipe would wait for a writer.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) {
    fail(ExitCode::checkpoint, "cannot open checkpoint {}: {}.", path, std::strerror(errno));
  }
  try {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      fail(ExitCode::checkpoint, "{} is not a file.", path);
    }
    const int64_t size = status.st_size;
    std::string block(static_cast<size_t>(std::min(size, kSmallestBlock)), 0);
    read_exactly(descriptor_, path, 0, block.data(), static_cast<int64_t>(block.size()));
    const int64_t announced = announced_block(block, path);
    if (announced > size) {
      fail(ExitCode::checkpoint, "{} is truncated: {} bytes, less than its seal of {}.", path, size,
           announced);
    }
    block.resize(static_cast<size_t>(announced));
    read_exactly(descriptor_, path, 0, block.data(), announced);
    seal_ = parse_seal(block, path);
    if (seal_.size == size) return;
    std::string lost = "its end";
    int64_t first = seal_.size;
    for (const SealEntry& entry : seal_.entries) {
      if (entry.offset + entry.bytes > size && entry.offset < first) {
        first = entry.offset;
        lost = fmt::format("{} (digest {})", entry.path, entry.digest.hex());
      }
    }
    if (size < seal_.size) {
      fail(ExitCode::checkpoint,
           "{} is truncated: {} of {} bytes; {} is the first part lost. Take another checkpoint "
           "(troupe ckpt ls).",
           path, size, seal_.size, lost);
    }
    fail(ExitCode::checkpoint, "{} is {} bytes long, {} more than its seal says.", path, size,
         size - seal_.size);
  } catch (...) {
    ::close(descriptor_);
    refuse_if_open_elsewhere(path);
    throw;
  }
}

SealedFile::~SealedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

SealedFile::SealedFile(SealedFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      seal_(std::move(other.seal_)) {}

void SealedFile::read(const SealEntry& entry, int64_t begin, void* out, int64_t bytes) const {
  require(begin >= 0 && bytes >= 0 && bytes <= entry.bytes - begin,
          "bytes {} to {} of {}, which has {}", begin, begin + bytes, entry.path, entry.bytes);
  read_exactly(descriptor_, path_, entry.offset + begin, out, bytes);
}

std::string SealedFile::read_all(const SealEntry& entry) const {
  std::string out(static_cast<size_t>(entry.bytes), 0);
  read(entry, 0, out.data(), entry.bytes);
  if (const Digest found = digest_of(out); found != entry.digest) {
    fail_digest(path_, entry.path, entry.digest, found);
  }
  return out;
}

void SealedFile::check() const {
  std::vector<char> buffer(static_cast<size_t>(kBufferBytes));
  for (const SealEntry& entry : seal_.entries) {
    Hasher hasher;
    add_range(hasher, entry.offset, entry.bytes, buffer,
              [&](int64_t offset, void* data, int64_t bytes) {
                read_exactly(descriptor_, path_, offset, data, bytes);
              });
    if (const Digest found = hasher.digest(); found != entry.digest) {
      fail_digest(path_, entry.path, entry.digest, found);
    }
  }
  check_rest();
}

void SealedFile::check_rest() const {
  std::vector<char> buffer(static_cast<size_t>(kBufferBytes));
  Hasher rest;
  for_each_gap(seal_, [&](int64_t begin, int64_t bytes) {
    add_range(rest, begin, bytes, buffer, [&](int64_t offset, void* data, int64_t part) {
      read_exactly(descriptor_, path_, offset, data, part);
    });
  });
  if (const Digest found = rest.digest(); found != seal_.rest) {
    fail_digest(path_, "the HDF5 structure around the datasets", seal_.rest, found);
  }
}

}  // namespace troupe
