// The units in which a decoder uses its values: the embedding, each block, the last norm, the head.
// Their order in a step is a pure function of the schedule, so that values which are spread over
// ranks can be on their way before they are used, and `check` can count the bytes.
#pragma once

#include <string>
#include <vector>

#include "models/families/decoder_config.h"
#include "parallel/pp/schedule.h"

namespace troupe {

// "layers.3" of "layers.3.attention.q.weight"; "embedding" of "embedding.weight".
std::string value_unit(const std::string& parameter);

// Forward of the piece of the model at `place`, of `places`.
std::vector<std::string> forward_uses(const DecoderConfig& config, int places, int place);
// Its backward. The embedding and the head read no values then, and the norm stays.
std::vector<std::string> backward_uses(const DecoderConfig& config, int places, int place);

// All uses of one step of training on a pipeline stage, in order.
std::vector<std::string> step_uses(const DecoderConfig& config, const Pipeline& pipeline,
                                   int stage);

}  // namespace troupe
