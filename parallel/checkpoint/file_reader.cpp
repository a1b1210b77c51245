#include <cstring>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/file_reader.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {
namespace {

bool begins_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

}  // namespace

std::string read_text(const SealedFile& file, const SealEntry& entry) {
  if (entry.dtype || entry.bytes > kLongestText) {
    fail(ExitCode::checkpoint, "{}: {} is not a text of at most {} bytes.", file.path(), entry.path,
         kLongestText);
  }
  std::string text = file.read_all(entry);
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

std::vector<StateScalar> read_scalars(const SealedFile& file) {
  std::vector<StateScalar> out;
  for (const SealEntry& entry : file.seal().entries) {
    if (!begins_with(entry.path, kScalarPrefix)) continue;
    StateScalar scalar{entry.path.substr(kScalarPrefix.size()), int64_t{0}};
    if (!entry.dtype) {
      scalar.value = read_text(file, entry);
    } else if (entry.shape.rank() == 0 &&
               (*entry.dtype == DType::i64 || *entry.dtype == DType::f64)) {
      const std::string bytes = file.read_all(entry);
      int64_t integer = 0;
      double real = 0;
      std::memcpy(&integer, bytes.data(), sizeof(integer));
      std::memcpy(&real, bytes.data(), sizeof(real));
      if (*entry.dtype == DType::i64) {
        scalar.value = integer;
      } else {
        scalar.value = real;
      }
    } else {
      fail(ExitCode::checkpoint, "{}: {} is not a single i64, f64 or text.", file.path(),
           entry.path);
    }
    out.push_back(std::move(scalar));
  }
  return out;
}

std::vector<TensorInfo> tensors_of(const Seal& seal, const std::string& place) {
  std::vector<TensorInfo> out;
  for (const SealEntry& entry : seal.entries) {
    if (entry.path == kConfigPath || entry.path == kShardsPath ||
        begins_with(entry.path, kScalarPrefix))
      continue;
    if (!entry.dtype) {
      fail(ExitCode::checkpoint, "{}: {} is a text among the tensors.", place, entry.path);
    }
    out.push_back({entry.path.substr(1), *entry.dtype, entry.shape, entry.bytes, entry.digest});
  }
  return out;
}

const StateScalar* Info::scalar(const std::string& name) const {
  for (const StateScalar& candidate : scalars) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

std::string text(const StateScalar& scalar) {
  if (const auto* integer = std::get_if<int64_t>(&scalar.value)) return fmt::format("{}", *integer);
  if (const auto* real = std::get_if<double>(&scalar.value)) return fmt::format("{}", *real);
  return std::get<std::string>(scalar.value);
}

Info read_info(const std::string& path) {
  const Stored stored(path);
  const SealedFile& file = stored.file();
  Info info;
  info.format_version = kFormatVersion;
  info.file_bytes = stored.bytes();
  info.shards = static_cast<int64_t>(stored.paths().size()) - 1;
  const SealEntry* config = file.seal().find(kConfigPath);
  if (config == nullptr) fail(ExitCode::checkpoint, "{} has no {}.", path, kConfigPath);
  info.config = read_text(file, *config);
  info.scalars = read_scalars(file);
  info.tensors = stored.tensors();
  return info;
}

void verify(const std::string& path) {
  Stored(path).check();
  read_info(path);
}

}  // namespace troupe::checkpoint
