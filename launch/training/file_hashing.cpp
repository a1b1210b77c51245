#include "launch/training/file_hashing.h"

#include <algorithm>

namespace troupe {
namespace {

using Clock = std::chrono::system_clock;

// Written so short a time ago that it may be written once more without getting another stamp: the
// clocks of some file systems have a resolution of two seconds.
bool too_fresh(const FileStamp& stamp) {
  const auto now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch());
  constexpr std::chrono::nanoseconds kResolution = std::chrono::seconds(2);
  return std::max(stamp.modified, stamp.changed) > (now - kResolution).count();
}

}  // namespace

FileHashing::FileHashing(std::vector<FileToHash> files, KnownHashes known, bool doubt)
    : files_(std::move(files)), known_(std::move(known)), doubt_(doubt) {
  for (FileToHash& file : files_) {
    const FileStamp stamp = stamp_of(file.path);
    std::optional<uint64_t> hash = known_.find(file.path, stamp);
    if (!hash && !(doubt_ && known_.has(file.path))) hash = file.hash;
    file.hash = hash;
    if (!hash) total_ += stamp.size;
  }
}

void FileHashing::finish(const FileStamp& stamp, uint64_t hash) {
  const std::string& path = files_[next_].path;
  hashes_[path] = hash;
  // An entry that no stamp fits says that the file is to be read next time.
  known_now_.add(path, too_fresh(stamp) ? FileStamp{} : stamp, hash);
  if (open_) done_ += open_->done();
  open_.reset();
  ++next_;
}

bool FileHashing::advance(std::chrono::milliseconds slice) {
  constexpr int64_t kPiece = 16 << 20;
  const auto end = std::chrono::steady_clock::now() + slice;
  while (next_ < files_.size()) {
    const FileToHash& file = files_[next_];
    if (const auto twice = hashes_.find(file.path); twice != hashes_.end()) {
      ++next_;
    } else if (file.hash) {
      finish(stamp_of(file.path), *file.hash);
    } else {
      if (!open_) open_ = std::make_unique<FileHasher>(file.path);
      if (open_->advance(kPiece)) finish(open_->stamp(), open_->hash());
    }
    if (std::chrono::steady_clock::now() >= end) break;
  }
  return next_ == files_.size();
}

}  // namespace troupe
