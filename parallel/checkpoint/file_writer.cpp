#include "parallel/checkpoint/file_writer.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/boxes.h"

namespace troupe::checkpoint {
namespace {

std::string folder_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

int64_t bytes_of(const Shape& shape, DType dtype) {
  return shape.elements() * static_cast<int64_t>(size_of(dtype));
}

SealEntry planned(const std::string& path, std::optional<DType> dtype, const Shape& shape,
                  int64_t bytes) {
  SealEntry entry;
  entry.path = path;
  entry.dtype = dtype;
  entry.shape = shape;
  entry.bytes = bytes;
  return entry;
}

int64_t text_bytes(const std::string& text) {
  return std::max<int64_t>(1, static_cast<int64_t>(text.size()));
}

// What the file will hold, without places and digests.
std::vector<SealEntry> planned_entries(const FileContents& contents) {
  std::vector<SealEntry> out;
  for (const auto& [path, text] : contents.texts) {
    out.push_back(planned(path, std::nullopt, {}, text_bytes(text)));
  }
  for (const StateScalar& scalar : contents.scalars) {
    const std::string path = scalar_path(scalar.name);
    if (const auto* text = std::get_if<std::string>(&scalar.value)) {
      out.push_back(planned(path, std::nullopt, {}, text_bytes(*text)));
    } else {
      const bool real = std::holds_alternative<double>(scalar.value);
      out.push_back(planned(path, real ? DType::f64 : DType::i64, {}, 8));
    }
  }
  for (const DatasetPlan& tensor : contents.tensors) {
    out.push_back(
        planned(tensor.path, tensor.dtype, tensor.shape, bytes_of(tensor.shape, tensor.dtype)));
  }
  return out;
}

// A path may not be used twice, nor be both a dataset and a group.
void check_paths(const std::vector<SealEntry>& entries) {
  std::vector<std::string> paths;
  for (const SealEntry& entry : entries) paths.push_back(entry.path);
  std::sort(paths.begin(), paths.end());
  for (size_t i = 0; i < paths.size(); ++i) {
    require(i == 0 || paths[i] != paths[i - 1], "checkpoint: {} is listed twice", paths[i]);
    for (size_t slash = paths[i].find('/', 1); slash != std::string::npos;
         slash = paths[i].find('/', slash + 1)) {
      const std::string group = paths[i].substr(0, slash);
      require(slash + 1 < paths[i].size() && paths[i][slash + 1] != '/',
              "checkpoint: {} has an empty part", paths[i]);
      require(!std::binary_search(paths.begin(), paths.end(), group),
              "checkpoint: {} is both a dataset and the group of {}", group, paths[i]);
    }
  }
}

}  // namespace

std::vector<StateScalar> in_order(std::vector<StateScalar> scalars) {
  std::sort(scalars.begin(), scalars.end(),
            [](const StateScalar& a, const StateScalar& b) { return a.name < b.name; });
  return scalars;
}

std::string tensor_path(const std::string& name) { return "/" + name; }
std::string scalar_path(const std::string& name) { return kScalarPrefix + name; }

FileWriter::FileWriter(const std::string& path, FileContents contents)
    : target_(path), contents_(std::move(contents)) {
  const std::vector<SealEntry> expected = planned_entries(contents_);
  check_paths(expected);
  for (const DatasetPlan& tensor : contents_.tensors) {
    require(tensor.path.compare(0, kScalarPrefix.size(), kScalarPrefix) != 0,
            "checkpoint: the tensor {} stands among the scalars", tensor.path);
  }
  block_ = seal_block_bytes(expected);
  needed_ = block_ + (64 << 10);
  // 1 kB an object is more than HDF5's headers, attributes and links take.
  for (const SealEntry& entry : expected) needed_ += entry.bytes + 1024;
}

void FileWriter::create() {
  for (const auto& [name, text] : contents_.texts) {
    if (static_cast<int64_t>(text.size()) <= kLongestText) continue;
    fail(ExitCode::resource,
         "{}: the text {} has {} bytes, more than the {} that can be read again. Where it lists "
         "shards, raise shard_above, so that one file is written.",
         target_.path(), name, text.size(), kLongestText);
  }
  make_directories(folder_of(target_.path()));
  require_space(folder_of(target_.path()), needed_);
  Hdf5File file = Hdf5File::create(target_.temporary_path(), block_);
  file.set_attribute("format", std::string("troupe checkpoint"));
  file.set_attribute("format_version", kFormatVersion);
  for (const auto& [path, text] : contents_.texts) write_text(file, path, text);
  for (const StateScalar& scalar : contents_.scalars) write_scalar(file, scalar);
  for (const DatasetPlan& tensor : contents_.tensors) {
    Hdf5Dataset dataset = file.create_dataset(tensor.path, tensor.dtype, tensor.shape);
    dataset.set_attribute(kDigestAttribute, Digest{}.hex());  // its room
    places_.push_back(tensor.shape.elements() == 0 ? 0 : dataset.file_offset());
    dataset.close();
  }
  file.close();
}

void FileWriter::write_text(Hdf5File& file, const std::string& path, const std::string& text) {
  SealEntry entry = planned(path, std::nullopt, {}, text_bytes(text));
  entry.offset = file.write_text(path, text);
  entry.digest = digest_of(text.empty() ? std::string_view("\0", 1) : std::string_view(text));
  entries_.push_back(std::move(entry));
}

void FileWriter::write_scalar(Hdf5File& file, const StateScalar& scalar) {
  const std::string path = scalar_path(scalar.name);
  if (const auto* text = std::get_if<std::string>(&scalar.value)) {
    write_text(file, path, *text);
    return;
  }
  const auto* real = std::get_if<double>(&scalar.value);
  const void* data = real != nullptr ? static_cast<const void*>(real)
                                     : static_cast<const void*>(&std::get<int64_t>(scalar.value));
  SealEntry entry = planned(path, real != nullptr ? DType::f64 : DType::i64, {}, 8);
  Hdf5Dataset dataset = file.create_dataset(path, *entry.dtype, {});
  dataset.write({}, {}, data);
  entry.offset = dataset.file_offset();
  entry.digest = digest_of({static_cast<const char*>(data), 8});
  dataset.close();
  entries_.push_back(std::move(entry));
}

void FileWriter::put_digests(const std::vector<Digest>& digests) {
  Hdf5File file = Hdf5File::open_to_change(target_.temporary_path());
  for (size_t i = 0; i < contents_.tensors.size(); ++i) {
    const DatasetPlan& tensor = contents_.tensors[i];
    Hdf5Dataset dataset = file.dataset(tensor.path);
    dataset.replace_attribute(kDigestAttribute, digests[i].hex());
    dataset.close();
  }
  file.close();
}

FileWriter::Finished FileWriter::commit(const std::vector<Digest>& digests,
                                        const std::function<void(const Digest&)>& before) {
  require(digests.size() == contents_.tensors.size() && digests.size() == places_.size(),
          "checkpoint: {} digests of {} tensors", digests.size(), contents_.tensors.size());
  put_digests(digests);
  std::vector<SealEntry> entries = entries_;
  for (size_t i = 0; i < digests.size(); ++i) {
    const DatasetPlan& tensor = contents_.tensors[i];
    entries.push_back(
        planned(tensor.path, tensor.dtype, tensor.shape, bytes_of(tensor.shape, tensor.dtype)));
    entries.back().offset = places_[i];
    entries.back().digest = digests[i];
  }
  std::sort(entries.begin(), entries.end(),
            [](const SealEntry& a, const SealEntry& b) { return a.path < b.path; });
  Finished finished;
  seal_file(target_.temporary_path(), block_, entries);
  try {
    const SealedFile file(target_.temporary_path());
    for (const SealEntry& entry : entries_) file.read_all(entry);
    file.check_rest();
    compare_with_hdf5(target_.temporary_path(), entries);
    finished = {digest_of(format_seal(file.seal())), file.seal().size};
  } catch (const Error& error) {
    // What was written is not what is on the disk: the disk, not the checkpoint, is at fault.
    fail_read_back(error);
  }
  if (before) before(finished.seal);
  target_.commit();
  return finished;
}

void fail_read_back(const Error& error) {
  fail(ExitCode::resource, "reading back the checkpoint that was just written failed: {}",
       error.what());
}

void compare_with_hdf5(const std::string& path, const std::vector<SealEntry>& entries) {
  Hdf5File file = Hdf5File::open(path);
  const auto differs = [&](const SealEntry& entry, const std::string& what) {
    fail(ExitCode::checkpoint, "{}: {}: HDF5 and the seal differ in {}.", path, entry.path, what);
  };
  for (const SealEntry& entry : entries) {
    if (!entry.dtype) {
      std::string text = file.read_text(entry.path);
      text.resize(static_cast<size_t>(entry.bytes), '\0');
      if (digest_of(text) != entry.digest) differs(entry, "the text");
      continue;
    }
    Hdf5Dataset dataset = file.dataset(entry.path);
    if (dataset.dtype() != *entry.dtype) differs(entry, "the element type");
    if (dataset.shape() != entry.shape) differs(entry, "the shape");
    if (entry.bytes > 0 && dataset.file_offset() != entry.offset) differs(entry, "the place");
    if (entry.path.compare(0, kScalarPrefix.size(), kScalarPrefix) != 0 &&
        dataset.attribute(kDigestAttribute) != AttributeValue(entry.digest.hex())) {
      differs(entry, "the digest");
    }
    dataset.close();
  }
  file.close();
}

}  // namespace troupe::checkpoint
