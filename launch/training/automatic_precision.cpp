#include "launch/training/automatic_precision.h"

#include <fmt/core.h>

#include "core/kernels/cpu/product.h"
#include "core/tensor/tensor.h"
#include "launch/config/load.h"

namespace troupe {
namespace {

bool automatic(const RunConfig& config) {
  const ConfigValue* entry = config.values.find("precision.compute");
  return entry != nullptr && !entry->automatic.empty();
}

}  // namespace

bool agree_on_precision(RunConfig& config, bool own, Communicator& world,
                        const std::shared_ptr<Device>& device) {
  const Tensor without =
      Tensor::full({1}, DType::f64, own ? 0.0 : 1.0, device, MemoryKind::communication);
  world.all_reduce_sum(without.view(), "processors without bf16").finish();
  const bool all = without.item() == 0.0;
  if (automatic(config)) set_compute(config, all ? DType::bf16 : DType::f32);
  return all;
}

bool agree_on_precision(RunConfig& config, const RankRuntime& runtime) {
  return agree_on_precision(config, kernels::cpu::hardware_bf16(), *runtime.world(),
                            runtime.device());
}

void keep_precision(RunConfig& config, const RunConfig& stored) {
  if (automatic(config)) set_compute(config, stored.model.compute);
}

std::string describe_precision(const RunConfig& config) {
  return fmt::format("{}{}", name(config.model.compute), automatic(config) ? " (auto)" : "");
}

std::string slow_precision(const RunConfig& config, bool every_rank_multiplies_bf16, bool resumed) {
  if (config.model.compute != DType::bf16 || every_rank_multiplies_bf16) return {};
  return fmt::format(
      "precision.compute is bf16, which not every rank's processor multiplies: products are "
      "widened to f32 there, slower than f32 itself; {}",
      resumed ? "the run goes on in the precision that it began with"
              : "auto or f32 is the better choice");
}

}  // namespace troupe
