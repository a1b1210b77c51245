// Keys from the field lists that routers, families, optimizers and schedules have.
#include "launch/config/schema_keys.h"

namespace troupe {

StoreValue type_of(std::vector<Variant> variants, ChosenOf chosen) {
  return [variants = std::move(variants), chosen = std::move(chosen)](
             RunConfig& config, const std::string& path, const FieldValue& value) {
    const Chosen of = chosen(config, path);
    *of.type = std::get<std::string>(value);
    for (const Variant& variant : variants) {
      if (variant.name == *of.type) *of.options = Options(variant.fields);
    }
  };
}

Key key_of_field(const std::string& prefix, const std::string& variant, const Field& field,
                 OptionsOf options) {
  Key key;
  static_cast<Field&>(key) = field;
  key.path = prefix + "." + field.name;
  key.variant = variant;
  key.store = [name = field.name, options = std::move(options)](
                  RunConfig& config, const std::string& path, const FieldValue& value) {
    options(config, path).set(name, value);
  };
  return key;
}

}  // namespace troupe
