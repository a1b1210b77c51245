// What a sealed checkpoint file holds, as checkpoint terms: tensors, scalars, texts.
#pragma once

#include <string>
#include <vector>

#include "core/io/sealed_file.h"
#include "parallel/checkpoint/checkpoint.h"

namespace troupe::checkpoint {

// Digests are checked; Error(checkpoint) names the entry.
std::string read_text(const SealedFile& file, const SealEntry& entry);
std::vector<StateScalar> read_scalars(const SealedFile& file);
// `place` names the file in errors.
std::vector<TensorInfo> tensors_of(const Seal& seal, const std::string& place);

}  // namespace troupe::checkpoint
