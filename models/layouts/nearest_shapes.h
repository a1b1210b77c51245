// The layouts nearest to one that cannot be, for the fix that a problem offers.
#pragma once

#include <string>
#include <vector>

#include "models/layouts/layout_rules.h"

namespace troupe {

// The (at most three) legal shapes of `world` ranks nearest to this one, in doublings of degrees;
// everything else stays as it is, ep and etp where they can.
std::vector<MeshShape> nearest_shapes(const Parallelism& parallelism, const LayoutInputs& subject,
                                      int world);

// The degrees that are more than 1 or change: "{pp: 3, dp: 1}".
std::string text_of_change(const MeshShape& from, const MeshShape& to);

}  // namespace troupe
