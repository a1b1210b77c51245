// A trained model, read from a checkpoint, for eval and generate.
#pragma once

#include <memory>
#include <string>

#include "core/text/tokenizer.h"
#include "launch/config/run_config.h"
#include "launch/training/rank_runtime.h"
#include "models/families/decoder.h"

namespace troupe {

struct TrainedModel {
  std::string checkpoint;
  int64_t step = 0;
  RunConfig config;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Decoder> model;
};

// where: a run directory (its newest usable checkpoint) or a checkpoint file. The configuration is
// the one inside the checkpoint; the layout is made for the ranks at hand: dp = all, ep = the
// largest degree that divides both the ranks and the experts. Configures the runtime. Collective.
// Throws Error(checkpoint) or Error(data).
TrainedModel load_trained_model(const std::string& where, RankRuntime& runtime);

}  // namespace troupe
