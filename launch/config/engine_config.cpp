#include "launch/config/engine_config.h"

namespace troupe {

EngineConfig engine_config(const RunConfig& config) {
  return {config.optimizer, config.schedule, config.train, config.model, config.run.seed};
}

}  // namespace troupe
