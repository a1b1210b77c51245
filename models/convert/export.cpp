#include "models/convert/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/formats/safetensors.h"
#include "core/formats/safetensors_folder.h"
#include "core/io/hash.h"
#include "models/convert/linear_range.h"
#include "parallel/checkpoint/boxes.h"

namespace troupe {
namespace {

constexpr int64_t kPieceBytes = 16LL << 20;

std::string stored_name(const TensorLink& link) { return "parameters/" + link.ours; }

int64_t bytes_of(const SavedTensor& tensor) {
  return element_count(tensor.shape).value() * size_of(tensor.type);
}

std::vector<ExportFile> distribute(std::vector<SavedTensor> tensors, int64_t shard_bytes) {
  std::vector<ExportFile> files(1);
  int64_t filled = 0;
  for (SavedTensor& tensor : tensors) {
    const int64_t bytes = bytes_of(tensor);
    if (filled > 0 && filled + bytes > shard_bytes) {
      files.emplace_back();
      filled = 0;
    }
    filled += bytes;
    files.back().tensors.push_back(std::move(tensor));
  }
  if (files.size() == 1) {
    files[0].name = kWeightsFile;
    return files;
  }
  for (size_t i = 0; i < files.size(); ++i)
    files[i].name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size());
  return files;
}

// Where the bytes of each tensor go.
class Files {
 public:
  Files(const ExportPlan& plan, const std::string& folder) {
    for (const ExportFile& file : plan.files) {
      writers_.push_back(std::make_unique<SafetensorsWriter>(
          (std::filesystem::path(folder) / file.name).string(), file.tensors,
          std::map<std::string, std::string>{{"format", "pt"}}));
      for (size_t i = 0; i < file.tensors.size(); ++i)
        places_[file.tensors[i].name] = {writers_.back().get(), i};
    }
  }
  StoredType type(const std::string& name) const {
    const auto& [writer, index] = places_.at(name);
    return writer->tensors()[index].type;
  }
  // Bytes of a tensor from its element `first` on.
  void write(const std::string& name, int64_t first, const std::byte* data, int64_t bytes) {
    const auto& [writer, index] = places_.at(name);
    writer->write(index, first * size_of(writer->tensors()[index].type), data, bytes);
  }
  void commit() {
    for (const auto& writer : writers_) writer->commit();
  }

 private:
  std::vector<std::unique_ptr<SafetensorsWriter>> writers_;
  std::map<std::string, std::pair<SafetensorsWriter*, size_t>> places_;
};

// Writes elements of one link, which are packed in `data` and begin with its element `begin`.
void put(Files& files, const TensorLink& link, int64_t begin, int64_t count,
         const std::vector<std::byte>& data, std::vector<std::byte>& segment) {
  const auto bytes = static_cast<int64_t>(data.size()) / count;
  if (!link.turned) {
    files.write(link.theirs, link.their_first + begin, data.data(), count * bytes);
    return;
  }
  const int64_t in = link.columns;
  const int64_t rows = count / in;
  segment.resize(static_cast<size_t>(rows * bytes));
  for (int64_t i = 0; i < in; ++i) {
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(data.data() + (row * in + i) * bytes, bytes, segment.data() + row * bytes);
    files.write(link.theirs, i * link.their_shape[1] + link.their_first + begin / in,
                segment.data(), rows * bytes);
  }
}

}  // namespace

ExportPlan plan_export(const checkpoint::Stored& from, const std::vector<TensorLink>& links,
                       const std::function<StoredType(const std::string&, DType)>& type,
                       int64_t shard_bytes) {
  ExportPlan plan;
  plan.links = links;
  std::map<std::string, std::vector<const TensorLink*>> ours;
  std::map<std::string, size_t> listed;
  std::vector<SavedTensor> tensors;
  std::string faults;
  for (const TensorLink& link : links) {
    ours[stored_name(link)].push_back(&link);
    const checkpoint::TensorInfo* tensor = from.find(stored_name(link));
    if (tensor == nullptr) {
      if (ours[stored_name(link)].size() == 1)
        faults += fmt::format("\n  {} is missing", link.ours);
      continue;
    }
    if (!listed.emplace(link.theirs, tensors.size()).second) continue;
    tensors.push_back({link.theirs, type(link.theirs, tensor->dtype), link.their_shape, 0, 0});
  }
  for (const auto& [name, parts] : ours) {
    int64_t count = 0;
    for (const TensorLink* link : parts) count += link->count;
    const checkpoint::TensorInfo* tensor = from.find(name);
    if (tensor != nullptr && tensor->shape.elements() != count)
      faults += fmt::format("\n  {} has shape {}", name, tensor->shape.text());
    plan.parameters += count;
  }
  if (!faults.empty()) fail(ExitCode::checkpoint, "the checkpoint is not of this model:{}", faults);
  std::stable_sort(plan.links.begin(), plan.links.end(), [](const auto& a, const auto& b) {
    return std::tie(a.ours, a.first) < std::tie(b.ours, b.first);
  });
  for (const TensorLink& link : links) {
    const DType here = from.find(stored_name(link))->dtype;
    const StoredType there = tensors[listed.at(link.theirs)].type;
    plan.bytes_read += link.count * static_cast<int64_t>(size_of(here));
    plan.bytes_written += link.count * size_of(there);
    if (stored(here) != there)
      plan.changed[fmt::format("{} to {}", name(here), name(there))] += link.count;
  }
  plan.files = distribute(std::move(tensors), shard_bytes);
  return plan;
}

std::string export_index(const ExportPlan& plan) {
  if (plan.files.size() == 1) return {};
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  std::map<std::string, std::string> sorted;
  for (const ExportFile& file : plan.files) {
    for (const SavedTensor& tensor : file.tensors) sorted[tensor.name] = file.name;
  }
  for (const auto& [tensor, file] : sorted) map[tensor] = file;
  const nlohmann::ordered_json index = {
      {"metadata", {{"total_parameters", plan.parameters}, {"total_size", plan.bytes_written}}},
      {"weight_map", map}};
  return index.dump(2) + "\n";
}

void write_export(const ExportPlan& plan, const checkpoint::Stored& from, const std::string& folder,
                  const ConversionWatch& watch) {
  Files files(plan, folder);
  std::map<std::string, int64_t> overflows;
  std::vector<std::byte> read;
  std::vector<std::byte> converted;
  std::vector<std::byte> segment;
  std::optional<Hasher> hasher;
  int64_t done = 0;
  for (size_t i = 0; i < plan.links.size(); ++i) {
    const TensorLink& link = plan.links[i];
    const checkpoint::TensorInfo& tensor = *from.find(stored_name(link));
    if (link.first == 0) hasher.emplace();
    const StoredType to = files.type(link.theirs);
    const auto size = static_cast<int64_t>(size_of(tensor.dtype));
    // Whole rows, where they are to be turned.
    int64_t piece = std::max<int64_t>(1, kPieceBytes / size);
    if (link.turned) piece = std::max<int64_t>(1, piece / link.columns) * link.columns;
    checkpoint::for_each_piece(
        box_of_range(tensor.shape, link.first, link.count), size_of(tensor.dtype), piece * size,
        [&, begin = int64_t{0}](const Box& box) mutable {
          const int64_t count = checkpoint::volume(box);
          read.resize(static_cast<size_t>(count * size));
          from.read(tensor, box, read.data());
          hasher->add(read.data(), count * size);
          converted.resize(static_cast<size_t>(count * size_of(to)));
          const int64_t infinite =
              convert(stored(tensor.dtype), read.data(), count, to, converted.data());
          if (infinite > 0) overflows[link.theirs] += infinite;
          put(files, link, begin, count, converted, segment);
          begin += count;
          done += count * size;
          watch(done);
        });
    const bool last = i + 1 == plan.links.size() || plan.links[i + 1].ours != link.ours;
    if (!last) continue;
    if (const Digest found = hasher->digest(); found != tensor.digest) from.blame(tensor, found);
  }
  if (!overflows.empty()) {
    std::string lines;
    for (const auto& [name, count] : overflows)
      lines += fmt::format("\n  {}: {} numbers are too large for {}", name, count,
                           troupe::name(files.type(name)));
    fail(ExitCode::usage, "numbers would become infinite:{}", lines);
  }
  files.commit();
}

}  // namespace troupe
