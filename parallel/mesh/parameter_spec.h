// A parameter as data, before there is a tensor: sizes, costs, checkpoints and the making of the
// tensors read lists of these.
#pragma once

#include <string>
#include <vector>

#include "core/parameter/parameter.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

// What a parameter is to a token.
enum class ParameterRole : uint8_t {
  common,  // every token reads all of it
  table,   // a token looks up one row
  router,
  expert  // of routed experts: a token reads those that it is sent to
};

struct ParameterSpec {
  std::string name;
  Layout layout;
  DType compute = DType::f32;
  Init init;
  bool decay = false;        // weight decay applies
  bool in_products = false;  // a matrix of linear ops: may have packed copies
  ParameterRole role = ParameterRole::common;
  double active = 1.0;  // of an expert's parameters the share that one token reads
};

// What the parameters of a part depend on, besides its own configuration.
struct ParameterContext {
  Parallelism parallelism;
  DType compute = DType::f32;
  double init_std = 0.02;  // of matrices
  // Of matrices that write into the residual stream: init_std / sqrt(2 layers).
  double residual_std = 0;
};

// What the tp ranks saw when a parameter that they all hold whole got its gradient. Over dp and cp
// tokens are always spread.
enum class TpGradient : uint8_t {
  same,    // all the same: nothing to sum
  stream,  // rows of the residual stream: other ones with sp, the same without
  partial  // each its own heads: summed
};

// Matrices decay and are in products, vectors (norms, biases) neither.
ParameterSpec replicated_parameter(const ParameterContext& context, const std::string& name,
                                   const Shape& shape, Init init, TpGradient tp);

// dim `dim` cut over tp. sections: sizes of parts that are cut one by one (gate|up); empty = one.
ParameterSpec cut_parameter(const ParameterContext& context, const std::string& name,
                            const Shape& shape, int dim, Init init, Cut cut = Cut::block,
                            std::vector<int64_t> sections = {});

// Elements that a rank holds.
int64_t local_elements(const ParameterSpec& parameter, const MeshShape& mesh, int rank);

}  // namespace troupe
