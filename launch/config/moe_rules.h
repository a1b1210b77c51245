// The rules of the moe section.
#pragma once

#include <string>
#include <vector>

#include "launch/config/load.h"
#include "launch/config/rule_list.h"

namespace troupe {

void check_moe(const RunConfig& config, Purpose purpose, RuleList& rules);
// What is legal and yet surely not meant, once per kind and layer setting.
std::vector<std::string> moe_warnings(const RunConfig& config);

}  // namespace troupe
