#include "core/base/field.h"

#include "core/base/error.h"

namespace troupe {

Field make_field(std::string name, FieldType type, FieldValue default_value, std::string help) {
  Field field;
  field.name = std::move(name);
  field.type = type;
  field.default_value = std::move(default_value);
  field.help = std::move(help);
  return field;
}

Options::Options(const FieldList& fields) {
  for (const Field& field : fields) values_[field.name] = field.default_value;
}

const FieldValue& Options::at(const std::string& name) const {
  const auto found = values_.find(name);
  require(found != values_.end(), "option {} was read but never declared in a field list", name);
  return found->second;
}

bool Options::boolean(const std::string& name) const { return std::get<bool>(at(name)); }
int64_t Options::integer(const std::string& name) const { return std::get<int64_t>(at(name)); }
double Options::real(const std::string& name) const { return std::get<double>(at(name)); }
const std::string& Options::text(const std::string& name) const {
  return std::get<std::string>(at(name));
}
const std::vector<double>& Options::reals(const std::string& name) const {
  return std::get<std::vector<double>>(at(name));
}

}  // namespace troupe
