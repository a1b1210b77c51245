// From a checkpoint to a folder of safetensors as Hugging Face's library writes it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/formats/saved_tensor.h"
#include "models/convert/conversion_watch.h"
#include "models/convert/tensor_link.h"
#include "parallel/checkpoint/stored.h"

namespace troupe {

struct ExportFile {
  std::string name;                  // "model-00001-of-00003.safetensors"
  std::vector<SavedTensor> tensors;  // offsets not filled in
};

struct ExportPlan {
  std::vector<ExportFile> files;
  std::vector<TensorLink> links;  // in the order of the checkpoint's tensors and their elements
  int64_t parameters = 0;
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
  std::map<std::string, int64_t> changed;  // elements: "f32 to BF16"
};

// type: of a tensor there, by its name and the type here. shard_bytes: at most so many in a file,
// where one tensor fits. Error(checkpoint) names what the checkpoint lacks or has of another shape.
ExportPlan plan_export(const checkpoint::Stored& from, const std::vector<TensorLink>& links,
                       const std::function<StoredType(const std::string&, DType)>& type,
                       int64_t shard_bytes);

// The text of model.safetensors.index.json; "" where there is one file.
std::string export_index(const ExportPlan& plan);

// Writes the files into `folder`, which must be there. Digests are compared on the way:
// Error(checkpoint) names a damaged tensor. Error(usage): numbers that a type cannot hold, with
// names and counts.
void write_export(const ExportPlan& plan, const checkpoint::Stored& from, const std::string& folder,
                  const ConversionWatch& watch);

}  // namespace troupe
