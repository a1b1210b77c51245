// The weights of a model as Hugging Face's library writes them: model.safetensors, or several files
// and model.safetensors.index.json, which says what is in which.
#pragma once

#include <memory>
#include <string>

#include "core/formats/weight_source.h"

namespace troupe {

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kWeightsIndex = "model.safetensors.index.json";

// where: a folder, or one .safetensors file. Error(checkpoint): nothing or not one thing there to
// read, an index that names paths, files or tensors that are not there, tensors that it does not
// name, a file that is not sound.
std::unique_ptr<WeightSource> open_safetensors(const std::string& where);

// The folder in which a model lies: `where` itself, the folder of a file, or the snapshot that
// refs/main names in a folder of the cache of Hugging Face's library.
std::string model_folder(const std::string& where);

}  // namespace troupe
