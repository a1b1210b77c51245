// Short constructors of keys, for the tables.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launch/config/schema.h"

namespace troupe {

class KeyMaker {
 public:
  KeyMaker(std::string path, ValueKind kind, std::string help) {
    key_.path = std::move(path);
    key_.kind = kind;
    key_.help = std::move(help);
    key_.has_default = false;
  }
  KeyMaker& value(FieldValue default_value) {
    key_.default_value = std::move(default_value);
    key_.has_default = true;
    return *this;
  }
  KeyMaker& word(const char* word) { return value(std::string(word)); }  // default is a word
  KeyMaker& words(std::vector<std::string> words) {
    key_.words = std::move(words);
    return *this;
  }
  KeyMaker& choices(std::vector<std::string> choices) {
    key_.choices = std::move(choices);
    return *this;
  }
  KeyMaker& required() {
    key_.required = true;
    return *this;
  }
  KeyMaker& from(double minimum) {
    key_.minimum = minimum;
    return *this;
  }
  KeyMaker& above(double minimum) {
    key_.minimum = minimum;
    key_.exclusive_minimum = true;
    return *this;
  }
  KeyMaker& to(double maximum) {
    key_.maximum = maximum;
    return *this;
  }
  KeyMaker& unit(const char* unit) {
    key_.unit = unit;
    return *this;
  }
  KeyMaker& also(const char* shape) {
    key_.also = shape;
    return *this;
  }
  KeyMaker& with_line_breaks() {
    key_.line_breaks = true;
    return *this;
  }
  KeyMaker& may_change() {
    key_.on_resume = OnResume::may_change;
    return *this;
  }
  operator Key() const { return key_; }  // NOLINT: the point of this class

 private:
  Key key_;
};

inline KeyMaker integer_key(std::string path, std::string help) {
  return KeyMaker(std::move(path), ValueKind::integer, std::move(help));
}
inline KeyMaker real_key(std::string path, std::string help) {
  return KeyMaker(std::move(path), ValueKind::real, std::move(help));
}
inline KeyMaker flag_key(std::string path, bool value, std::string help) {
  return KeyMaker(std::move(path), ValueKind::boolean, std::move(help)).value(value);
}
inline KeyMaker choice_key(std::string path, std::vector<std::string> choices, const char* value,
                           std::string help) {
  return KeyMaker(std::move(path), ValueKind::choice, std::move(help))
      .choices(std::move(choices))
      .word(value);
}

}  // namespace troupe
