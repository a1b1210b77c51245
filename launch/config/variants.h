// Model families, routers, optimizers and schedules as configuration sees them: names, help and
// field lists.
#pragma once

#include <string>
#include <vector>

#include "core/base/field.h"

namespace troupe {

struct Variant {
  std::string name;
  std::string help;
  FieldList fields;
};

std::vector<Variant> family_variants();
std::vector<Variant> router_variants();
std::vector<Variant> optimizer_variants();
std::vector<Variant> schedule_variants();
std::vector<std::string> names(const std::vector<Variant>& variants);

}  // namespace troupe
