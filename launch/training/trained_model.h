// A trained model, read from a checkpoint, for eval and generate.
#pragma once

#include <memory>
#include <string>

#include "core/text/tokenizer.h"
#include "launch/config/run_config.h"
#include "launch/training/input_fingerprints.h"
#include "launch/training/rank_runtime.h"
#include "models/model/model.h"

namespace troupe {

struct TrainedModel {
  std::string checkpoint;
  int64_t step = 0;
  RunConfig config;  // with the fingerprints of the checkpoint
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Model> model;
};

// where: a run directory (its newest usable checkpoint) or a checkpoint file. The configuration is
// the one inside the checkpoint; the layout is made for the ranks at hand: dp = all, ep = the
// largest degree that divides both the ranks and the experts. Configures the runtime. The leader
// says where the checkpoint has no fingerprints of its inputs. Collective. Throws Error(checkpoint)
// or Error(data).
TrainedModel load_trained_model(const std::string& where, RankRuntime& runtime);

// What `eval` and `generate` read must be what was trained with: compares the inputs with the
// fingerprints of the checkpoint, if it has some. Another one: Error(usage) with name, old and new
// fingerprint, or with `force` a warning. Collective.
void check_inputs(const TrainedModel& trained, const std::vector<Input>& inputs, bool force,
                  RankRuntime& runtime);

}  // namespace troupe
