#include "models/engine/sampled_batches.h"

namespace troupe {

std::function<TokenBatch(int64_t micro)> sampled_batches(const TrainingEngine& engine,
                                                         Sampler& sampler, int64_t step) {
  const int64_t base = step * engine.config().global_batch;
  const int64_t predictions = sampler.predictions(base, engine.config().global_batch);
  return [&engine, &sampler, base, predictions](int64_t micro) {
    const Mesh& mesh = engine.mesh();
    std::vector<int64_t> samples =
        micro_batch_samples(engine.config(), mesh.size(Axis::dp), mesh.coordinate(Axis::dp), micro);
    for (int64_t& sample : samples) sample += base;
    TokenBatch out = sampler.batch(samples, base);
    out.step_predictions = predictions;
    return out;
  };
}

}  // namespace troupe
