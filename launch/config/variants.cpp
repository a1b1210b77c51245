#include "launch/config/variants.h"

#include "core/optim/lr_schedule.h"
#include "core/optim/optimizer.h"
#include "models/families/table.h"
#include "moe/routers/table.h"

namespace troupe {

std::vector<Variant> family_variants() {
  std::vector<Variant> variants;
  for (const FamilyDescriptor& family : families()) {
    variants.push_back({family.name, family.help, family.fields});
  }
  return variants;
}

std::vector<Variant> router_variants() {
  std::vector<Variant> variants;
  for (const RouterDescriptor& router : routers()) {
    variants.push_back({router.name, router.help, router.fields});
  }
  return variants;
}

std::vector<Variant> optimizer_variants() {
  std::vector<Variant> variants;
  for (const OptimizerKind& kind : optimizers()) {
    variants.push_back({kind.name, kind.help, kind.fields});
  }
  return variants;
}

std::vector<Variant> schedule_variants() {
  std::vector<Variant> variants;
  for (const ScheduleKind& kind : schedules()) {
    variants.push_back({kind.name, kind.help, kind.fields});
  }
  return variants;
}

std::vector<std::string> names(const std::vector<Variant>& variants) {
  std::vector<std::string> list;
  for (const Variant& variant : variants) list.push_back(variant.name);
  return list;
}

}  // namespace troupe
