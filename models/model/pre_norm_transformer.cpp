#include "models/model/pre_norm_transformer.h"

#include "models/parts/pre_norm_block.h"

namespace troupe {

TransformerParts pre_norm_transformer(const ModelConfig& config, const NormPart& norm,
                                      const MixerPart& mixer, const FeedForwardPart& dense) {
  PreNormParts block;
  block.mixer_norm = block.feed_forward_norm = norm;
  block.mixer = mixer;
  block.dim = config.dim;
  block.dropout = config.dropout;
  block.recompute = config.recompute;
  TransformerParts parts;
  for (const auto& moe : config.moe) {
    block.feed_forward = moe ? moe_part(config.dim, *moe, config.vocab) : dense;
    parts.blocks.push_back(pre_norm_block(block));
  }
  parts.norm = norm;
  return parts;
}

}  // namespace troupe
