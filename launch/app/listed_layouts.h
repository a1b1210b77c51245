// The layouts that `verify --layouts` names.
#pragma once

#include <string>
#include <vector>

#include "models/verify/layout_list.h"

namespace troupe {

// "tp=2,pp=2;ep=8,zero=3": dp fills the ranks where it is not given, sp follows tp, and with
// ep_kind hierarchical ranks_per_node as above (each may be written as auto); the rest is at its
// default. Throws Error(usage).
std::vector<VerifiedLayout> listed_layouts(const std::string& list, const LayoutInputs& subject,
                                           const ListOptions& options);

}  // namespace troupe
