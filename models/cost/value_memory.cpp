#include "models/cost/value_memory.h"

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/kernels/packed_weights.h"
#include "models/families/lookup/configured_model.h"
#include "models/parts/bytes.h"
#include "parallel/dp/value_plan.h"

namespace troupe {
namespace {

// Copies of a matrix in the forms that products read.
int64_t form_bytes(const ParameterSpec& parameter, const MeshShape& mesh,
                   const std::shared_ptr<Device>& device) {
  if (!parameter.in_products) return 0;
  const Shape local = local_shape(parameter.layout, mesh, coordinates(mesh, mesh.world() - 1));
  const int64_t experts = local.rank() == 3 ? local[0] : 1;
  const auto forms = PackedWeights::make(experts, local[-2], local[-1], parameter.compute, device);
  const int64_t one = local.elements() * bytes_of(parameter.compute);
  return forms->copy_bytes() / std::max<int64_t>(one, 1) * allocated(one);
}

// A unit of the model while it is used.
struct UnitMemory {
  int64_t values = 0;
  int64_t forms = 0;
};
using Units = std::map<std::string, UnitMemory>;

int64_t gathered(const Units& units, const std::string& used, const std::string& next) {
  const auto of = [&](const std::string& unit) {
    const auto found = units.find(unit);
    return found == units.end() ? UnitMemory() : found->second;
  };
  const int64_t coming = next == used ? 0 : of(next).values;
  return of(used).values + of(used).forms + coming + of(kStayingUnit).values;
}

}  // namespace

ValueMemory value_memory(const CostInputs& config, int stage) {
  const MeshShape& mesh = config.parallel.shape;
  const int rank = (stage + 1) * (mesh.world() / mesh[Axis::pp]) - 1;
  const std::shared_ptr<Device> device = Device::cpu(1);
  ValueMemory memory;
  Units units;
  std::vector<GradientItem> items;
  std::vector<std::string> names;
  for (const ParameterSpec& parameter : model_parameters(config.model, config.parallel, stage)) {
    const int64_t elements = local_elements(parameter, mesh, rank);
    items.push_back({parameter.layout, elements, wide(parameter.compute)});
    names.push_back(value_unit(parameter.name));
    const int64_t forms = form_bytes(parameter, mesh, device);
    if (value_is_sharded(parameter.layout, config.parallel)) {
      units[names.back()].forms += forms;
    } else {
      memory.kept += allocated(elements * bytes_of(items.back().dtype));
      memory.forms += forms;
    }
  }
  if (config.parallel.zero < 3) return memory;
  const std::vector<Bucket> buckets = plan_buckets(items, mesh);
  for (const ValueSegment& segment : value_segments(buckets, items, names)) {
    units[segment.unit].values +=
        allocated(segment.elements * bytes_of(buckets[segment.bucket].dtype));
  }
  for (const Bucket& bucket : buckets) {
    const Layout& layout = items[bucket.parameters[0]].layout;
    if (!value_is_sharded(layout, config.parallel)) continue;
    const GroupPlace place = gradient_group_place(layout, mesh, rank);
    const std::vector<int64_t> begins = owner_begins(bucket.elements, place.size);
    const auto at = static_cast<size_t>(place.rank);
    memory.kept += allocated((begins[at + 1] - begins[at]) * bytes_of(bucket.dtype));
  }
  const auto layer = [](int64_t number) { return value_unit(fmt::format("layers.{}", number)); };
  const int64_t layers = config.model.layers;
  memory.in_loss =
      gathered(units, config.model.tie_embeddings ? "embedding" : "head", layer(layers - 1));
  for (int64_t l = 0; l < layers; ++l) {
    memory.in_block =
        std::max(memory.in_block, gathered(units, layer(l), layer(std::max<int64_t>(l - 1, 0))));
  }
  return memory;
}

}  // namespace troupe
