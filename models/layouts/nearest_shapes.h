// The layouts nearest to one that cannot be, for the advice of a problem.
#pragma once

#include <vector>

#include "models/layouts/layout_rules.h"

namespace troupe {

// The (at most three) legal shapes of `world` ranks nearest to this one, in doublings of degrees;
// everything else stays as it is, ep and etp where they can.
std::vector<MeshShape> nearest_shapes(const Parallelism& parallelism, const LayoutInputs& inputs,
                                      int world);

}  // namespace troupe
