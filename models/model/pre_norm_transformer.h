// The transformer of pre-norm blocks that are all alike, but for experts where a configuration has
// them.
#pragma once

#include "models/model/transformer_parts.h"

namespace troupe {

// norm: before the mixer and the feed-forward of each block, and before the head. dense: the
// feed-forward of layers without experts.
TransformerParts pre_norm_transformer(const ModelConfig& config, const NormPart& norm,
                                      const MixerPart& mixer, const FeedForwardPart& dense);

}  // namespace troupe
