#include "launch/config/variants.h"

#include "moe/routers/table.h"

namespace troupe {

std::vector<Variant> router_variants() {
  std::vector<Variant> variants;
  for (const RouterDescriptor& router : routers()) {
    variants.push_back({router.name, router.help, router.fields});
  }
  return variants;
}

std::vector<Variant> optimizer_variants() {
  const auto real = [](const char* name, FieldValue value, const char* help) {
    Field f;
    f.name = name;
    f.default_value = value;
    f.help = help;
    f.minimum = 0;
    return f;
  };
  Field betas = real("betas", std::vector<double>{0.9, 0.95}, "Decay of the moments.");
  betas.type = FieldType::real_list;
  betas.maximum = 1;
  return {{"adamw", "AdamW", {betas, real("eps", 1e-8, "eps"), real("weight_decay", 0.1, "wd")}},
          {"sgd", "SGD", {real("momentum", 0.0, "m"), real("weight_decay", 0.1, "wd")}}};
}

std::vector<Variant> schedule_variants() {
  Field warmup;
  warmup.name = "warmup";
  warmup.type = FieldType::integer;
  warmup.default_value = int64_t{0};
  warmup.minimum = 0;
  Field ratio;
  ratio.name = "min_ratio";
  ratio.default_value = 0.0;
  ratio.minimum = 0;
  ratio.maximum = 1;
  Field decay = ratio;
  decay.name = "decay_fraction";
  decay.default_value = 0.2;
  return {{"constant", "", {warmup}},
          {"linear", "", {warmup, ratio}},
          {"cosine", "", {warmup, ratio}},
          {"inverse_sqrt", "", {warmup}},
          {"wsd", "", {warmup, ratio, decay}}};
}

std::vector<std::string> names(const std::vector<Variant>& variants) {
  std::vector<std::string> list;
  for (const Variant& variant : variants) list.push_back(variant.name);
  return list;
}

}  // namespace troupe
