// Made-up text: for benchmarks and for comparisons of layouts, which need no corpus.
#pragma once

#include <cstdint>
#include <vector>

#include "core/text/batch.h"
#include "models/model/model_config.h"

namespace troupe {

// The samples of one step, drawn uniformly from the vocabulary: a pure function of step, sample and
// position. Where the model masks documents, the later part of a sequence is one of its own.
TokenBatch drawn_batch(const ModelConfig& model, int64_t step, int64_t global_batch,
                       const std::vector<int64_t>& samples);

}  // namespace troupe
