#include "parallel/checkpoint/single_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <sstream>

#include "core/base/error.h"

namespace troupe::checkpoint {
namespace {

// The words stand at the beginning of the block that the seal overwrites in the end.
constexpr size_t kWords = 96;

FileContents contents_of(const SaveRequest& request) {
  FileContents out;
  out.texts = {{kConfigPath, request.options.config}};
  out.scalars = in_order(request.scalars);
  for (const TensorPlan& tensor : request.plan->tensors) {
    out.tensors.push_back({tensor_path(tensor.name), tensor.dtype, tensor.global});
  }
  return out;
}

}  // namespace

std::string unique_words() {
  std::array<char, 65> host{};
  ::gethostname(host.data(), host.size() - 1);
  std::string out =
      fmt::format("{} {} {}", ::getpid(),
                  std::chrono::steady_clock::now().time_since_epoch().count(), host.data());
  for (char& c : out) c = c == '\n' ? ' ' : c;
  out.resize(kWords, '.');
  return out;
}

SingleFile::SingleFile(const SaveRequest& request, bool leader)
    : request_(request), temporary_(request.path + ".tmp") {
  if (leader) writer_.emplace(request.path, contents_of(request));
}

std::string SingleFile::create() {
  writer_->create();
  const std::string words = unique_words();
  std::string told = words;
  for (size_t i = 0; i < request_.plan->tensors.size(); ++i) {
    places_.push_back(writer_->offset(i));
    told += fmt::format(" {}", places_.back());
  }
  PosixFile file = PosixFile::open(temporary_, O_WRONLY, "write");
  file.write_at(0, words.data(), static_cast<int64_t>(words.size()));
  file.close();
  return told;
}

bool SingleFile::join(const std::string& told) {
  std::istringstream numbers(told.substr(kWords));
  for (int64_t place = 0; numbers >> place;) places_.push_back(place);
  require(places_.size() == request_.plan->tensors.size(), "checkpoint: {} places of {} tensors",
          places_.size(), request_.plan->tensors.size());
  try {
    const PosixFile file = PosixFile::open(temporary_, O_RDONLY, "open");
    std::string words(kWords, 0);
    return file.read_at(0, words.data(), kWords) == static_cast<int64_t>(kWords) &&
           told.compare(0, kWords, words) == 0;
  } catch (const Error&) {
    return false;
  }
}

// Not for reading: then a network file system sends the bytes that were written and no others of
// their page, which may be another rank's.
PosixFile& SingleFile::open_to_write() {
  if (!out_) out_.emplace(PosixFile::open(temporary_, O_WRONLY, "write"));
  return *out_;
}

void SingleFile::put(size_t tensor, const Box& piece, const std::byte* data) {
  const TensorPlan& entry = request_.plan->tensors[tensor];
  write_box(open_to_write(), places_[tensor], whole(entry.global), piece, size_of(entry.dtype),
            data);
}

void SingleFile::sync() {
  if (!out_) return;
  out_->sync();
  // What follows should read the disk, not the page cache; a hint only.
  ::posix_fadvise(out_->descriptor(), 0, 0, POSIX_FADV_DONTNEED);
  out_->close();
  out_.reset();
}

std::vector<Digest> SingleFile::write(const std::vector<OwnShare>& shares, std::string&) {
  std::vector<Digest> digests;
  for (const OwnShare& share : shares) {
    const TensorPlan& tensor = request_.plan->tensors[share.tensor];
    Hasher hasher;
    for_each_packed(tensor.shares[share.share].box, size_of(tensor.dtype), share.source,
                    std::min(request_.options.piece_bytes, kCachedBytes),
                    [&](const Box& piece, const std::byte* data) {
                      hasher.add(data, volume(piece) * static_cast<int64_t>(size_of(tensor.dtype)));
                      put(share.tensor, piece, data);
                    });
    digests.push_back(hasher.digest());
  }
  sync();
  return digests;
}

void SingleFile::all_written(const std::vector<std::string>&) {}

void SingleFile::read(size_t tensor, const Box& piece, std::byte* out) {
  if (!in_) in_.emplace(PosixFile::open(temporary_, O_RDONLY, "read back"));
  const TensorPlan& entry = request_.plan->tensors[tensor];
  const auto element = static_cast<int64_t>(size_of(entry.dtype));
  for_each_common_run(piece, packed(whole(entry.global), nullptr), packed(piece, nullptr),
                      [&](int64_t at_file, int64_t at_out, int64_t count) {
                        const int64_t bytes = count * element;
                        if (in_->read_at(places_[tensor] + at_file * element,
                                         out + at_out * element, bytes) != bytes) {
                          fail_io("read back", temporary_, EIO);
                        }
                      });
}

void SingleFile::finish(const std::vector<Digest>& digests) {
  in_.reset();
  writer_->commit(digests, request_.will_make_file);
}

}  // namespace troupe::checkpoint
