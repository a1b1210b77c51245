// A block that adds to the residual stream what attention makes of the normalised stream, then what
// a feed-forward does.
#pragma once

#include "models/parts/block.h"
#include "models/parts/norm.h"

namespace troupe {

struct PreNormParts {
  NormPart mixer_norm;  // NAME.attention_norm
  MixerPart mixer;
  NormPart feed_forward_norm;  // NAME.feed_forward_norm
  FeedForwardPart feed_forward;
  int64_t dim = 0;
  double dropout = 0.0;  // of what is added to the stream
  bool recompute = false;
};

BlockPart pre_norm_block(const PreNormParts& parts);

}  // namespace troupe
