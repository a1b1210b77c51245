// model.init: the checkpoint whose weights a run begins with.
#pragma once

#include <string>

#include "launch/config/recorded_lineage.h"
#include "launch/config/run_config.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct InitialWeights {
  std::string checkpoint;  // the file
  Ancestor ancestor;       // what the run's own checkpoints will say of it
};

// The file that model.init names, which has every parameter of this model in its shape. Where it
// has not: Error(usage) with the keys that differ from those with which it was made. A model in the
// format of another program: Error(checkpoint) with the command that makes a checkpoint of it. Else
// as checkpoint::resolve(). Warns on the leader where the parameters fit and yet keys differ that
// change what they compute. Collective.
InitialWeights find_initial_weights(const RunConfig& config, Communicator& world);

}  // namespace troupe
