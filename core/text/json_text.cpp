#include "core/text/json_text.h"

#include "core/text/byte_escape.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

// JSON has escapes of its own for control characters.
std::string writable(const std::string& text) {
  const bool as_it_is = utf8_valid_prefix(text) == text.size() && unescape_bytes(text) == text;
  return as_it_is ? text : escape_bytes(text);
}

void make_writable(Json& value) {
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    text = writable(text);
  } else if (value.is_array()) {
    for (Json& element : value) make_writable(element);
  } else if (value.is_object()) {
    Json made = Json::object();
    for (auto& [key, member] : value.items()) {
      make_writable(member);
      made[writable(key)] = std::move(member);
    }
    value = std::move(made);
  }
}

}  // namespace

std::string json_text(Json value, int indent) {
  make_writable(value);
  return value.dump(indent);
}

}  // namespace troupe
