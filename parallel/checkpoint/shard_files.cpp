#include "parallel/checkpoint/shard_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/base/error.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/names.h"
#include "parallel/checkpoint/single_file.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {
namespace {

namespace fs = std::filesystem;

const char* const kWordsFile = "being-written";

std::string directory_of_file(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// "step-00001200" of ".../step-00001200.h5".
std::string stem_of(const std::string& path) {
  const fs::path name = fs::path(path).filename();
  return (name.extension() == ".h5" ? name.stem() : name).string();
}

// A folder name that is free.
std::string free_folder(const std::string& path) {
  const std::string stem = stem_of(path);
  std::string name = shard_folder_name(stem, 1);
  std::error_code error;
  for (int i = 2; fs::exists(fs::path(directory_of_file(path)) / name, error); ++i) {
    name = shard_folder_name(stem, i);
  }
  return name;
}

}  // namespace

ShardFiles::ShardFiles(const SaveRequest& request, int rank) : request_(request), rank_(rank) {}

ShardFiles::~ShardFiles() {
  open_.clear();
  std::error_code ignored;
  if (made_) fs::remove_all(folder_path(), ignored);
}

std::string ShardFiles::folder_path() const {
  return (fs::path(directory_of_file(request_.path)) / manifest_.folder).string();
}

std::string ShardFiles::create() {
  const std::string directory = directory_of_file(request_.path);
  make_directories(directory);
  int64_t bytes = 1 << 20;
  for (const TensorPlan& tensor : request_.plan->tensors) {
    bytes += tensor.bytes() + 1024 * static_cast<int64_t>(1 + tensor.shares.size());
  }
  require_space(directory, bytes);
  manifest_.folder = free_folder(request_.path);
  if (request_.will_make_folder) request_.will_make_folder(manifest_.folder);
  made_ = true;
  make_directories(folder_path());
  const std::string words = unique_words();
  PosixFile file = PosixFile::open(folder_path() + "/" + kWordsFile, O_WRONLY | O_CREAT, "create");
  file.write_at(0, words.data(), static_cast<int64_t>(words.size()));
  file.close();
  return words + manifest_.folder;
}

bool ShardFiles::join(const std::string& told) {
  std::string words(unique_words().size(), 0);
  manifest_.folder = told.substr(words.size());
  try {
    const PosixFile file = PosixFile::open(folder_path() + "/" + kWordsFile, O_RDONLY, "open");
    const auto size = static_cast<int64_t>(words.size());
    return file.read_at(0, words.data(), size) == size && told.compare(0, words.size(), words) == 0;
  } catch (const Error&) {
    return false;
  }
}

std::vector<Digest> ShardFiles::write(const std::vector<OwnShare>& shares, std::string& report) {
  std::vector<Digest> digests;
  if (shares.empty()) return digests;
  FileContents contents;
  for (const OwnShare& share : shares) {
    const TensorPlan& tensor = request_.plan->tensors[share.tensor];
    contents.tensors.push_back(
        {part_path(tensor.name, share.share), tensor.dtype, tensor.shares[share.share].box.size});
  }
  const std::string name = fmt::format("rank-{:04}.h5", rank_);
  FileWriter writer(folder_path() + "/" + name, std::move(contents));
  writer.create();
  PosixFile file = PosixFile::open(writer.temporary_path(), O_WRONLY, "write");
  for (size_t i = 0; i < shares.size(); ++i) {
    const TensorPlan& tensor = request_.plan->tensors[shares[i].tensor];
    const Box& box = tensor.shares[shares[i].share].box;
    Hasher hasher;
    for_each_packed(box, size_of(tensor.dtype), shares[i].source,
                    std::min(request_.options.piece_bytes, kCachedBytes),
                    [&](const Box& piece, const std::byte* data) {
                      hasher.add(data, volume(piece) * static_cast<int64_t>(size_of(tensor.dtype)));
                      write_box(file, writer.offset(i), box, piece, size_of(tensor.dtype), data);
                    });
    digests.push_back(hasher.digest());
  }
  file.sync();
  ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
  file.close();
  const FileWriter::Finished finished = writer.commit(digests);
  report = fmt::format("{} {} {}", finished.seal.hex(), finished.bytes, name);
  return digests;
}

void ShardFiles::all_written(const std::vector<std::string>& reports) {
  std::vector<int64_t> number(reports.size(), -1);
  for (size_t rank = 0; rank < reports.size(); ++rank) {
    if (reports[rank].empty()) continue;
    const std::string& report = reports[rank];
    const size_t space = report.find(' ', 33);
    number[rank] = static_cast<int64_t>(manifest_.shards.size());
    manifest_.shards.push_back({*Digest::parse(std::string_view(report).substr(0, 32)),
                                std::stoll(report.substr(33, space - 33)),
                                report.substr(space + 1)});
  }
  for (const TensorPlan& tensor : request_.plan->tensors) {
    StoredTensor stored{{tensor.name, tensor.dtype, tensor.global, tensor.bytes(), {}}, {}};
    for (const Share& share : tensor.shares) {
      stored.parts.push_back({number[static_cast<size_t>(share.writer)], share.box});
    }
    manifest_.tensors.push_back(std::move(stored));
  }
}

const SealedFile& ShardFiles::shard(int64_t number) {
  const auto at = open_.find(number);
  if (at != open_.end()) return at->second;
  const ShardInfo& info = manifest_.shards[static_cast<size_t>(number)];
  SealedFile file(folder_path() + "/" + info.file);
  require(digest_of(format_seal(file.seal())) == info.seal, "{} is not what its rank wrote",
          file.path());
  return open_.emplace(number, std::move(file)).first->second;
}

void ShardFiles::read(size_t tensor, const Box& piece, std::byte* out) {
  const StoredTensor& stored = manifest_.tensors[tensor];
  try {
    read_parts(stored, piece, out,
               [&](int64_t number) -> const SealedFile& { return shard(number); });
  } catch (const Error& error) {
    fail_read_back(error);
  }
}

void ShardFiles::finish(const std::vector<Digest>& digests) {
  open_.clear();
  for (size_t i = 0; i < digests.size(); ++i) manifest_.tensors[i].info.digest = digests[i];
  const std::string words = folder_path() + "/" + kWordsFile;
  if (::unlink(words.c_str()) != 0) fail_io("remove", words, errno);
  sync_directory(folder_path());
  FileContents contents;
  contents.texts = {{kConfigPath, request_.options.config},
                    {kShardsPath, format_manifest(manifest_)}};
  contents.scalars = in_order(request_.scalars);
  FileWriter writer(request_.path, std::move(contents));
  writer.create();
  writer.commit({}, request_.will_make_file);
  made_ = false;
}

std::error_code remove_shards(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> own;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(".tmp")) name.resize(name.size() - 4);
    if (name == kWordsFile || (name.starts_with("rank-") && name.ends_with(".h5"))) {
      own.push_back(entry.path());
    }
  }
  for (const fs::path& path : own) {
    if (!fs::remove(path, error) && error) break;
  }
  if (!error) fs::remove(folder, error);
  return error;
}

}  // namespace troupe::checkpoint
