#include "parallel/checkpoint/stored.h"

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/file_reader.h"
#include "parallel/checkpoint/file_writer.h"

namespace troupe::checkpoint {
namespace {

constexpr int64_t kPieceBytes = 4LL << 20;

std::string shard_path(const std::string& manifest_path, const Manifest& manifest, size_t shard) {
  return (std::filesystem::path(manifest_path).parent_path() / manifest.folder /
          manifest.shards[shard].file)
      .string();
}

SealedFile open_shard(const std::string& manifest_path, const Manifest& manifest, size_t number) {
  const std::string path = shard_path(manifest_path, manifest, number);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    fail(ExitCode::checkpoint,
         "{} is missing: it is a shard of {}. The folder {} belongs beside it.", path,
         manifest_path, manifest.folder);
  }
  SealedFile file(path);
  const ShardInfo& expected = manifest.shards[number];
  const Digest found = digest_of(format_seal(file.seal()));
  if (found != expected.seal || file.seal().size != expected.bytes) {
    fail(ExitCode::checkpoint,
         "{} is not the shard that {} was saved with: its seal has digest {}, expected {}.", path,
         manifest_path, found.hex(), expected.seal.hex());
  }
  return file;
}

// Every part has its dataset.
void check_parts(const std::vector<SealedFile>& shards, const Manifest& manifest) {
  for (const StoredTensor& tensor : manifest.tensors) {
    for (size_t i = 0; i < tensor.parts.size(); ++i) {
      const SealedFile& file = shards[static_cast<size_t>(tensor.parts[i].shard)];
      const SealEntry* entry = file.seal().find(part_path(tensor.info.name, i));
      if (entry == nullptr || entry->dtype != tensor.info.dtype ||
          entry->shape != tensor.parts[i].box.size) {
        fail(ExitCode::checkpoint, "{} does not hold {} of {} as its manifest says.", file.path(),
             text(tensor.parts[i].box), tensor.info.name);
      }
    }
  }
}

}  // namespace

std::string shards_text(const SealedFile& file) {
  const SealEntry* entry = file.seal().find(kShardsPath);
  return entry == nullptr ? std::string() : read_text(file, *entry);
}

std::vector<TensorInfo> tensors_of(const Seal& seal, const std::string& shards,
                                   const std::string& place) {
  std::vector<TensorInfo> out = tensors_of(seal, place);
  if (shards.empty()) return out;
  if (!out.empty()) {
    fail(ExitCode::checkpoint, "{} has tensors of its own beside its shards.", place);
  }
  for (StoredTensor& tensor : parse_manifest(shards, place).tensors) {
    out.push_back(std::move(tensor.info));
  }
  return out;
}

void read_parts(const StoredTensor& tensor, const Box& piece, std::byte* out,
                const std::function<const SealedFile&(int64_t shard)>& shard) {
  const auto element = static_cast<int64_t>(size_of(tensor.info.dtype));
  std::vector<std::byte> parcel;
  for (size_t i = 0; i < tensor.parts.size(); ++i) {
    const Box& box = tensor.parts[i].box;
    const auto region = intersection(box, piece);
    if (!region) continue;
    const SealedFile& file = shard(tensor.parts[i].shard);
    const SealEntry* entry = file.seal().find(part_path(tensor.info.name, i));
    require(entry != nullptr, "{} has no part {} of {}", file.path(), i, tensor.info.name);
    // What a piece has of a part is consecutive in the part.
    parcel.resize(static_cast<size_t>(volume(*region) * element));
    for_each_common_run(*region, packed(box, nullptr), packed(*region, nullptr),
                        [&](int64_t at_file, int64_t at_parcel, int64_t count) {
                          file.read(*entry, at_file * element, parcel.data() + at_parcel * element,
                                    count * element);
                        });
    copy_region(*region, static_cast<size_t>(element), packed(*region, parcel.data()),
                packed(piece, out));
  }
}

Stored::Stored(const std::string& path) : file_(std::make_unique<SealedFile>(path)) {
  const std::string shards = shards_text(*file_);
  tensors_ = tensors_of(file_->seal(), shards, path);
  if (shards.empty()) return;
  manifest_ = parse_manifest(shards, path);
  for (size_t i = 0; i < manifest_->shards.size(); ++i) {
    shards_.push_back(open_shard(path, *manifest_, i));
  }
  check_parts(shards_, *manifest_);
}

const TensorInfo* Stored::find(const std::string& name) const {
  const auto at =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const TensorInfo& info, const std::string& n) { return info.name < n; });
  return at == tensors_.end() || at->name != name ? nullptr : &*at;
}

std::vector<std::string> Stored::paths() const {
  std::vector<std::string> out = {file_->path()};
  for (const SealedFile& shard : shards_) out.push_back(shard.path());
  return out;
}

int64_t Stored::bytes() const {
  int64_t out = file_->seal().size;
  for (const SealedFile& shard : shards_) out += shard.seal().size;
  return out;
}

void Stored::read(const TensorInfo& tensor, const Box& piece, std::byte* out) const {
  const auto element = static_cast<int64_t>(size_of(tensor.dtype));
  if (!manifest_) {
    const SealEntry& entry = *file_->seal().find(tensor_path(tensor.name));
    for_each_common_run(piece, packed(whole(tensor.shape), nullptr), packed(piece, nullptr),
                        [&](int64_t at_file, int64_t at_out, int64_t count) {
                          file_->read(entry, at_file * element, out + at_out * element,
                                      count * element);
                        });
    return;
  }
  const auto number = static_cast<size_t>(find(tensor.name) - tensors_.data());
  read_parts(manifest_->tensors[number], piece, out, [&](int64_t shard) -> const SealedFile& {
    return shards_[static_cast<size_t>(shard)];
  });
}

void Stored::blame(const TensorInfo& tensor, const Digest& found) const {
  if (manifest_) {
    for (const SealedFile& shard : shards_) shard.check();  // names file and part
  }
  fail_digest(file_->path(), tensor_path(tensor.name), tensor.digest, found);
}

void Stored::check_rest() const {
  file_->check_rest();
  for (const SealedFile& shard : shards_) shard.check_rest();
}

void Stored::check() const {
  file_->check();
  if (!manifest_) return;
  for (const SealedFile& shard : shards_) shard.check_rest();
  std::vector<std::byte> data;
  for (const TensorInfo& tensor : tensors_) {
    Hasher hasher;
    for_each_piece(tensor.shape, size_of(tensor.dtype), kPieceBytes, [&](const Box& piece) {
      data.resize(static_cast<size_t>(volume(piece)) * size_of(tensor.dtype));
      read(tensor, piece, data.data());
      hasher.add(data.data(), static_cast<int64_t>(data.size()));
    });
    if (const Digest found = hasher.digest(); found != tensor.digest) blame(tensor, found);
  }
}

}  // namespace troupe::checkpoint
