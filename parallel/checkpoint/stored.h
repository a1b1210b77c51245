// A complete checkpoint on the disk, in one file or in several: its tensors, whole, wherever their
// parts stand. Nothing here calls HDF5.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/sealed_file.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/manifest.h"

namespace troupe::checkpoint {

class Stored {
 public:
  // Opens and checks the seals of all its files. Error(checkpoint) names the file at fault.
  explicit Stored(const std::string& path);

  const SealedFile& file() const { return *file_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  // Null when there is no tensor of that name.
  const TensorInfo* find(const std::string& name) const;
  // Where it is in several files.
  const std::optional<Manifest>& manifest() const { return manifest_; }
  std::vector<std::string> paths() const;  // the file itself, then its shards
  int64_t bytes() const;                   // of all files

  // Elements of `piece`, which are consecutive in the tensor's row-major order, packed. Digests are
  // the caller's business; blame() says whose fault a wrong one is.
  void read(const TensorInfo& tensor, const Box& piece, std::byte* out) const;
  // Throws Error(checkpoint): the tensor, the file, expected and found digest.
  [[noreturn]] void blame(const TensorInfo& tensor, const Digest& found) const;
  // What is neither a tensor nor a seal.
  void check_rest() const;
  // Every byte.
  void check() const;

 private:
  std::unique_ptr<SealedFile> file_;
  std::optional<Manifest> manifest_;
  std::vector<SealedFile> shards_;
  std::vector<TensorInfo> tensors_;
};

// Elements of `piece`, consecutive in the tensor's row-major order, from the shards that have them.
void read_parts(const StoredTensor& tensor, const Box& piece, std::byte* out,
                const std::function<const SealedFile&(int64_t shard)>& shard);

// Its tensors, from a file's seal and its text /shards ("" where it has none).
std::vector<TensorInfo> tensors_of(const Seal& seal, const std::string& shards,
                                   const std::string& place);
// The text /shards; "" where the file has none.
std::string shards_text(const SealedFile& file);

}  // namespace troupe::checkpoint
