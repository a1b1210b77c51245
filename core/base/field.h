// Field lists: the options of a router, optimizer, schedule or section, declared beside the code
// that reads them. launch/config turns YAML, the command line, `help` and `check` into and from
// field lists.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace troupe {

enum class FieldType : uint8_t {
  boolean,
  integer,
  real,
  text,
  choice,
  real_list,
  integer_list,
  duration,  // kept as milliseconds
  path,      // relative to the file that names it
  run_path   // relative to the working directory
};

// May the value differ when a run is resumed?
enum class OnResume { fixed, may_change };

using FieldValue = std::variant<bool, int64_t, double, std::string, std::vector<double>>;

struct Field {
  std::string name;
  FieldType type = FieldType::real;
  FieldValue default_value;
  std::string help;  // one sentence: meaning and unit
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool exclusive_minimum = false;    // value must be > minimum rather than >=
  std::vector<std::string> choices;  // for FieldType::choice
  std::vector<std::string> words;    // accepted besides values of the type: "auto"
  OnResume on_resume = OnResume::fixed;
};

using FieldList = std::vector<Field>;

// A field with what every field has; bounds and choices are set afterwards where there are any.
Field make_field(std::string name, FieldType type, FieldValue default_value, std::string help);

// Values by field name; every field of the list is present (defaults filled in).
class Options {
 public:
  Options() = default;
  explicit Options(const FieldList& fields);

  void set(const std::string& name, FieldValue value) { values_[name] = std::move(value); }
  bool has(const std::string& name) const { return values_.count(name) != 0; }
  bool boolean(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  const std::string& text(const std::string& name) const;  // also for choices
  const std::vector<double>& reals(const std::string& name) const;
  const std::map<std::string, FieldValue>& values() const { return values_; }

 private:
  const FieldValue& at(const std::string& name) const;
  std::map<std::string, FieldValue> values_;
};

}  // namespace troupe
