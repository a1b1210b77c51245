// From the tensors of another program to a checkpoint file, a piece at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/formats/weight_source.h"
#include "core/parameter/state.h"
#include "models/convert/conversion_watch.h"
#include "models/convert/tensor_link.h"
#include "parallel/mesh/parameter_spec.h"

namespace troupe {

// What the file gets.
enum class ImportType : uint8_t {
  keep,  // as it is; f16 becomes f32, which has all its values
  f32,
  bf16
};

struct ImportedTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::vector<TensorLink> links;  // in the order of its elements, each once
};

struct ImportPlan {
  std::vector<ImportedTensor> tensors;  // ordered by name
  int64_t parameters = 0;
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
  // Elements by type there and type here, where these differ: "F16 to f32".
  std::map<std::string, int64_t> changed;
  // Tensors without a place here, with the reason.
  std::vector<std::string> left_out;
  // The types of the source, so that they can be written again: the most common one, then a line
  // "TYPE NAME" for each other tensor.
  std::string source_types;
};

// holds_no_weights: of tensors that nothing needs (buffers). tied: a second name of a tensor, "" if
// none: equal bytes are left out. Error(checkpoint) names every tensor that is missing, misshapen,
// of a type without weights, or has no place.
ImportPlan plan_import(const WeightSource& source, const std::vector<ParameterSpec>& parameters,
                       const std::vector<TensorLink>& links, ImportType type,
                       const std::function<bool(const std::string&)>& holds_no_weights,
                       const std::map<std::string, std::string>& tied);

// Writes the checkpoint: it gets its name when it is whole. Memory: a few pieces of 16 MiB. Finite
// numbers that the type cannot hold are counted by tensor and refused before the file gets its
// name: Error(usage). Error(resource): disk; Error(checkpoint): the source changed meanwhile.
void write_import(const ImportPlan& plan, const WeightSource& source, const std::string& path,
                  const std::string& config, const std::vector<StateScalar>& scalars,
                  const ConversionWatch& watch);

}  // namespace troupe
