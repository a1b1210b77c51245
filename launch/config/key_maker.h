// Short constructors of keys, for the tables. A row says everything about its key: name, type,
// default, limits, help, and which member of the configuration it fills in.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/enum_names.h"
#include "core/base/error.h"
#include "launch/config/run_config.h"
#include "launch/config/schema.h"

namespace troupe {

// A value of a configuration into a member; words that stand for no other value go into texts.
template <typename Member>
void put(const FieldValue& value, Member& member) {
  if constexpr (std::is_same_v<Member, std::chrono::milliseconds>) {
    member = std::chrono::milliseconds(std::get<int64_t>(value));
  } else if constexpr (std::is_same_v<Member, std::vector<int64_t>>) {
    member.clear();
    for (const double item : std::get<std::vector<double>>(value)) {
      member.push_back(static_cast<int64_t>(item));
    }
  } else if constexpr (std::is_same_v<Member, std::optional<double>>) {
    member = std::get<double>(value);
  } else if constexpr (std::is_integral_v<Member> && !std::is_same_v<Member, bool>) {
    member = static_cast<Member>(std::get<int64_t>(value));
  } else {
    member = std::get<Member>(value);
  }
}

// The element that the path of a member of a list names: "moe.balance[1].coef" -> list[1].
template <typename Element>
Element& element_of(std::vector<Element>& list, const std::string& path) {
  const auto index = static_cast<size_t>(std::stoi(path.substr(path.find('[') + 1)));
  if (list.size() <= index) list.resize(index + 1);
  return list[index];
}

class KeyMaker {
 public:
  KeyMaker(std::string path, FieldType type, std::string help) {
    static_cast<Field&>(key_) =
        make_field(path.substr(path.rfind('.') + 1), type, {}, std::move(help));
    key_.path = std::move(path);
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
  // It says how a job runs, not what is trained: checkpoints do not keep it.
  KeyMaker& of_job() {
    key_.of_job = true;
    return *this;
  }

  // member(config): the member of a RunConfig that the key fills in.
  template <typename Get>
  KeyMaker& into(Get member) {
    return store([member](RunConfig& config, const std::string&, const FieldValue& value) {
      put(value, member(config));
    });
  }
  // The same of an element of list(config).
  template <typename Get, typename Element, typename Member>
  KeyMaker& into(Get list, Member Element::*member) {
    return store(
        [list, member](RunConfig& config, const std::string& path, const FieldValue& value) {
          put(value, element_of(list(config), path).*member);
        });
  }
  KeyMaker& store(StoreValue store) {
    key_.store = std::move(store);
    return *this;
  }
  // This word leaves the member as it is: it begins with what the word means.
  KeyMaker& keeps(const char* word) {
    key_.word_rules[word] = {};
    return *this;
  }
  // This word is replaced by what follows from other values (see Key::word_rules).
  KeyMaker& resolves(const char* word, WordRule rule) {
    key_.word_rules[word] = std::move(rule);
    return *this;
  }
  operator Key() const { return key_; }  // NOLINT: the point of this class

 private:
  Key key_;
};

inline KeyMaker integer_key(std::string path, std::string help) {
  return KeyMaker(std::move(path), FieldType::integer, std::move(help));
}
inline KeyMaker real_key(std::string path, std::string help) {
  return KeyMaker(std::move(path), FieldType::real, std::move(help));
}
inline KeyMaker flag_key(std::string path, bool value, std::string help) {
  return KeyMaker(std::move(path), FieldType::boolean, std::move(help)).value(value);
}
inline KeyMaker choice_key(std::string path, std::vector<std::string> choices, const char* value,
                           std::string help) {
  return KeyMaker(std::move(path), FieldType::choice, std::move(help))
      .choices(std::move(choices))
      .word(value);
}
// One of the names of an enumeration, without a default.
template <typename E, typename Get>
KeyMaker enum_key(std::string path, const EnumNames<E>& names, std::string help, Get member) {
  return KeyMaker(std::move(path), FieldType::choice, std::move(help))
      .choices(words_of(names))
      .store([names, member](RunConfig& config, const std::string&, const FieldValue& value) {
        member(config) = value_in(names, std::get<std::string>(value));
      });
}

}  // namespace troupe
