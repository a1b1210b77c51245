// The parameters of a decoder from its configuration alone: names, layouts and the forms that
// products keep of them. A test compares it with the parameters of a real model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/parameter/layout.h"
#include "core/tensor/dtype.h"
#include "models/families/decoder_config.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

struct PlannedParameter {
  std::string name;
  Layout layout;
  DType compute = DType::f32;
  bool in_products = false;  // a matrix of linear ops: may have packed copies
};

// In the order of Decoder::parameters() on the ranks of this pipeline stage.
std::vector<PlannedParameter> planned_parameters(const DecoderConfig& config,
                                                 const Parallelism& parallelism, int stage = 0);

// Elements that this rank holds.
int64_t local_elements(const PlannedParameter& parameter, const MeshShape& mesh, int rank);

}  // namespace troupe
