#include "core/formats/safetensors.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/formats/safetensors_header.h"
#include "core/formats/source_file.h"

namespace troupe {
namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kLongestHeader = 100'000'000;  // of the format

std::string read_header(const std::string& path, const PosixFile& file, int64_t file_bytes) {
  uint64_t length = 0;
  if (file_bytes < kLengthBytes || file.read_at(0, &length, kLengthBytes) != kLengthBytes) {
    fail(ExitCode::checkpoint, "{}: is no safetensors file: it has {} bytes", path, file_bytes);
  }
  const int64_t most = std::min(kLongestHeader, file_bytes - kLengthBytes);
  if (length > static_cast<uint64_t>(most)) {
    fail(ExitCode::checkpoint,
         "{}: is no whole safetensors file: its first 8 bytes announce a header of {} bytes, at "
         "most {} are possible in a file of {} bytes",
         path, length, most, file_bytes);
  }
  std::string header(length, '\0');
  if (file.read_at(kLengthBytes, header.data(), static_cast<int64_t>(length)) !=
      static_cast<int64_t>(length)) {
    fail(ExitCode::checkpoint, "{}: became shorter while it was read", path);
  }
  return header;
}

// Tensors must follow each other without gap from `begin` to the end of the file.
void check_places(const std::string& path, const std::vector<SavedTensor>& tensors, int64_t begin,
                  int64_t file_bytes) {
  std::vector<const SavedTensor*> in_order;
  for (const SavedTensor& tensor : tensors) in_order.push_back(&tensor);
  std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
  });
  int64_t at = begin;
  const SavedTensor* before = nullptr;
  for (const SavedTensor* tensor : in_order) {
    if (tensor->offset < at) {
      fail(ExitCode::checkpoint, "{}: the tensors {} and {} overlap", path,
           shown_name(before->name), shown_name(tensor->name));
    }
    if (tensor->offset > at) {
      fail(ExitCode::checkpoint, "{}: {} bytes before the tensor {} belong to none", path,
           tensor->offset - at, shown_name(tensor->name));
    }
    at += tensor->bytes;
    before = tensor;
  }
  if (at != file_bytes) {
    fail(ExitCode::checkpoint, "{}: has {} bytes, its tensors end at byte {}", path, file_bytes,
         at);
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path)
    : path_(std::move(path)), file_(open_source(path_)) {
  const int64_t file_bytes = file_.size();
  const std::string header = read_header(path_, file_, file_bytes);
  const int64_t begin = kLengthBytes + static_cast<int64_t>(header.size());
  parse_safetensors_header(header, path_, file_bytes - begin, tensors_, metadata_);
  for (SavedTensor& tensor : tensors_) tensor.offset += begin;
  check_places(path_, tensors_, begin, file_bytes);
  std::sort(tensors_.begin(), tensors_.end(),
            [](const SavedTensor& a, const SavedTensor& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(tensors_.begin(), tensors_.end(),
                         [](const auto& a, const auto& b) { return a.name == b.name; });
  if (twice != tensors_.end())
    fail(ExitCode::checkpoint, "{}: the tensor {} stands twice", path_, shown_name(twice->name));
}

void SafetensorsFile::read(const SavedTensor& tensor, int64_t first, int64_t bytes,
                           std::byte* out) const {
  require(first >= 0 && bytes >= 0 && first + bytes <= tensor.bytes,
          "bytes {} to {} of a tensor of {}", first, first + bytes, tensor.bytes);
  if (file_.read_at(tensor.offset + first, out, bytes) != bytes)
    fail(ExitCode::checkpoint, "{}: became shorter while it was read", path_);
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<SavedTensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : target_(path), tensors_(std::move(tensors)) {
  int64_t at = 0;
  for (SavedTensor& tensor : tensors_) {
    tensor.bytes = element_count(tensor.shape).value() * size_of(tensor.type);
    tensor.offset = at;
    at += tensor.bytes;
  }
  const std::string text = safetensors_header(tensors_, metadata);
  const int64_t begin = kLengthBytes + static_cast<int64_t>(text.size());
  for (SavedTensor& tensor : tensors_) tensor.offset += begin;
  file_bytes_ = begin + at;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  require_space(folder.empty() ? "." : folder.string(), file_bytes_);
  file_.emplace(PosixFile::open(target_.temporary_path(), O_WRONLY | O_CREAT | O_TRUNC, "write"));
  const auto length = static_cast<uint64_t>(text.size());
  file_->write_at(0, &length, kLengthBytes);
  file_->write_at(kLengthBytes, text.data(), static_cast<int64_t>(text.size()));
}

void SafetensorsWriter::write(size_t index, int64_t first, const std::byte* data, int64_t bytes) {
  const SavedTensor& tensor = tensors_[index];
  require(first >= 0 && bytes >= 0 && first + bytes <= tensor.bytes,
          "bytes {} to {} of a tensor of {}", first, first + bytes, tensor.bytes);
  file_->write_at(tensor.offset + first, data, bytes);
  file_->write_behind();
}

void SafetensorsWriter::commit() {
  file_->sync();
  file_->close();
  target_.commit();
}

}  // namespace troupe
