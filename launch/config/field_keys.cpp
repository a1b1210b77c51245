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
  key.store = [name = field.name, options = std::move(options)](
                  RunConfig& config, const std::string& path, const FieldValue& value) {
    options(config, path).set(name, value);
  };
  key.path = prefix + "." + field.name;
  key.variant = variant;
  key.default_value = field.default_value;
  key.help = field.help;
  key.minimum = field.minimum;
  key.maximum = field.maximum;
  key.exclusive_minimum = field.exclusive_minimum;
  key.choices = field.choices;
  key.words = field.words;
  key.on_resume = field.on_resume;
  switch (field.type) {
    case FieldType::boolean:
      key.kind = ValueKind::boolean;
      break;
    case FieldType::integer:
      key.kind = ValueKind::integer;
      break;
    case FieldType::real:
      key.kind = ValueKind::real;
      break;
    case FieldType::text:
      key.kind = ValueKind::text;
      break;
    case FieldType::choice:
      key.kind = ValueKind::choice;
      break;
    case FieldType::real_list:
      key.kind = ValueKind::real_list;
      break;
  }
  return key;
}

}  // namespace troupe
