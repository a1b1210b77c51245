// A small router of each kind and what it decides for a batch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/parameter/parameter.h"
#include "moe/dispatch/capacity.h"
#include "moe/routers/table.h"
#include "parallel/comm/self_communicator.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/support.h"

namespace troupe::testing {

inline constexpr int64_t kExperts = 6;
inline constexpr int64_t kDim = 5;

inline std::unique_ptr<Router> small_router(const std::string& name,
                                            const std::map<std::string, FieldValue>& given = {},
                                            const std::string& layer = "layers.0") {
  const RouterDescriptor& descriptor = *find_router(name);
  Options options(descriptor.fields);
  for (const auto& [key, value] : given) options.set(key, value);
  RouterInputs inputs;
  inputs.experts = kExperts;
  inputs.dim = kDim;
  inputs.name = layer + ".moe.router";
  inputs.precision = DType::f64;
  inputs.init_std = 1.0;
  inputs.vocab = 32;
  const Mesh mesh(MeshShape(), self_communicator());
  return make_router(descriptor, options, inputs, {&mesh, test_device(), 9});
}

inline Routing route(Router& router, const TokenContext& batch, const Tensor& x,
                     const SparseAssignment* replay = nullptr) {
  const Groups groups = make_groups({}, batch);
  return router.route({x, batch, &groups, 1.5, {}, {}, {}, {}}, replay);
}

inline double token_weight(const Routing& routing, int64_t token) {
  const std::vector<double> w = routing.sparse().weight.values();
  double sum = 0.0;
  for (int64_t i = routing.sparse().token_begin[static_cast<size_t>(token)];
       i < routing.sparse().token_begin[static_cast<size_t>(token) + 1]; ++i)
    sum += w[static_cast<size_t>(i)];
  return sum;
}

}  // namespace troupe::testing
