// Safetensors files (github.com/huggingface/safetensors): 8 bytes with the length of the header,
// the header as JSON (name -> type, shape, place), then the bytes of the tensors, without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/formats/saved_tensor.h"
#include "core/io/atomic_file.h"
#include "core/io/posix_file.h"

namespace troupe {

class SafetensorsFile {
 public:
  // Reads and proves the header: every tensor lies inside the file, its shape and type make its
  // bytes, no two overlap, nothing is left over, no name stands twice. Error(checkpoint) says what
  // is wrong. Memory is bounded by the length of the header, at most 100 MB as the format says.
  explicit SafetensorsFile(std::string path);

  const std::string& path() const { return path_; }
  const std::vector<SavedTensor>& tensors() const { return tensors_; }  // ordered by name
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // `bytes` bytes of the tensor from its byte `first` on. Error(checkpoint) when the file has
  // become shorter.
  void read(const SavedTensor& tensor, int64_t first, int64_t bytes, std::byte* out) const;

 private:
  std::string path_;
  PosixFile file_;
  std::vector<SavedTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A new file, written front to back, which gets its name when it is whole.
class SafetensorsWriter {
 public:
  // tensors: their order is that of their bytes; offsets are filled in. Error(resource) when the
  // disk has no room.
  SafetensorsWriter(const std::string& path, std::vector<SavedTensor> tensors,
                    const std::map<std::string, std::string>& metadata);
  const std::vector<SavedTensor>& tensors() const { return tensors_; }
  int64_t file_bytes() const { return file_bytes_; }
  // Puts bytes of tensor `index`, beginning with its byte `first`.
  void write(size_t index, int64_t first, const std::byte* data, int64_t bytes);
  void commit();

 private:
  AtomicFile target_;
  std::optional<PosixFile> file_;
  std::vector<SavedTensor> tensors_;
  int64_t file_bytes_ = 0;
};

}  // namespace troupe
