#include "models/engine/held_out_loss.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "models/engine/batch_tensors.h"
#include "moe/dispatch/groups.h"

namespace troupe {
namespace {

// Adds the loss of each window of the batch to its own place.
void add_window_losses(const TokenBatch& batch, const Tensor& nll_T, double* window_losses) {
  const std::vector<double> nll = nll_T.values();
  for (int64_t b = 0; b < batch.sequences; ++b) {
    double sum = 0.0;
    bool any = false;
    for (int64_t s = 0; s < batch.seq_len; ++s) {
      const auto token = static_cast<size_t>(b * batch.seq_len + s);
      any = any || batch.valid[token] != 0;
      sum += nll[token];
    }
    if (any) window_losses[batch.samples[static_cast<size_t>(b)]] = sum;
  }
}

// At least `sequences`, and so many that every group of every layer is whole on one rank.
int64_t whole_groups(const ModelConfig& model, int64_t sequences) {
  int64_t together = 1;
  for (const auto& moe : model.moe) {
    if (moe) together = std::lcm(together, sequences_together(moe->group, model.seq_len));
  }
  return (sequences + together - 1) / together * together;
}

}  // namespace

HeldOutLoss held_out_loss(Model& model, const HeldOut& held_out, int64_t at_least, const Mesh& mesh,
                          const std::shared_ptr<Device>& device,
                          const std::function<bool(int64_t, int64_t)>& batch_done) {
  const int64_t sequences = whole_groups(model.config(), at_least);
  Communicator& group = mesh.group(Axis::dp);
  std::vector<double> losses(static_cast<size_t>(held_out.windows()), 0.0);
  const int64_t batches = held_out.batches(group.size(), sequences);
  const WholeBatch whole{.sequences = std::max<int64_t>(held_out.windows(), 1),
                         .tokens = std::max<int64_t>(held_out.predictions(), 1),
                         .micro_batch = sequences};
  PositionScope at(mesh.world().position());
  at->pass = Pass::evaluation;
  for (int64_t index = 0; index < batches; ++index) {
    at->micro_batch = static_cast<int32_t>(index);
    TokenBatch batch = held_out.batch(index, group.rank(), group.size(), sequences);
    // Groups over several sequences need whole micro-batches; padding takes no expert's place.
    batch.pad_to(sequences);
    const BatchTensors tensors = to_tensors(batch, model.config().mask_documents, device, whole);
    add_window_losses(batch, model.nll(tensors.context, tensors.targets), losses.data());
    const bool go_on = !batch_done || batch_done(index + 1, batches);
    if (!go_on && index + 1 < batches) return {.complete = false};
  }
  const View sums{losses.data(), DType::f64, {held_out.windows()}, {1}};
  group.all_reduce_sum(sums, "held-out losses").finish();
  const double total = std::accumulate(losses.begin(), losses.end(), 0.0);
  return {held_out.predictions() > 0 ? total / static_cast<double>(held_out.predictions()) : 0.0,
          held_out.predictions()};
}

}  // namespace troupe
