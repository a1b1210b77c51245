#include "models/convert/hf_config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/formats/saved_tensor.h"

namespace troupe {
namespace {

using nlohmann::json;
constexpr int64_t kLargest = int64_t{1} << 40;

std::string shown_value(const json& value) {
  constexpr size_t kMost = 80;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

}  // namespace

HfConfigReader::HfConfigReader(json root, std::string place)
    : root_(std::move(root)), place_(std::move(place)) {}

const json* HfConfigReader::find(Names names) {
  const json* found = nullptr;
  const char* found_as = nullptr;
  for (const char* name : names) {
    read_.insert(name);
    const auto at = root_.find(name);
    if (at == root_.end() || at->is_null()) continue;
    if (found != nullptr && *found != *at) {
      fault(fmt::format("\"{}\" is {} and \"{}\" is {}: they are one key", found_as,
                        shown_value(*found), name, shown_value(*at)));
      continue;
    }
    found = &*at;
    found_as = name;
  }
  return found;
}

void HfConfigReader::wrong_kind(const char* name, const char* kind) {
  fault(fmt::format("\"{}\" is not {}", name, kind));
}

std::optional<int64_t> HfConfigReader::integer_if_any(Names names) {
  const json* value = find(names);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_integer() &&
                    !(value->is_number_unsigned() && value->get<uint64_t>() > kLargest) &&
                    value->get<int64_t>() >= -kLargest && value->get<int64_t>() <= kLargest;
  if (!fits) {
    wrong_kind(*names.begin(), "an integer of sensible size");
    return 1;
  }
  return value->get<int64_t>();
}

int64_t HfConfigReader::integer(Names names, std::optional<int64_t> otherwise) {
  const std::optional<int64_t> value = integer_if_any(names);
  if (value) return *value;
  if (otherwise) return *otherwise;
  fault(fmt::format("lacks \"{}\"", *names.begin()));
  return 1;
}

int64_t HfConfigReader::size(Names names, int64_t most, std::optional<int64_t> otherwise) {
  const int64_t value = integer(names, otherwise);
  if (value >= 1 && value <= most) return value;
  fault(fmt::format("\"{}\" is {}; 1 to {} are possible", *names.begin(), value, most));
  return 1;
}

double HfConfigReader::positive(Names names, double most, double otherwise) {
  const double value = real(names, otherwise);
  if (value > 0 && value <= most) return value;
  fault(
      fmt::format("\"{}\" is {}; it must be above 0 and at most {}", *names.begin(), value, most));
  return otherwise;
}

double HfConfigReader::real(Names names, std::optional<double> otherwise) {
  const json* value = find(names);
  if (value == nullptr) {
    if (otherwise) return *otherwise;
    fault(fmt::format("lacks \"{}\"", *names.begin()));
    return 1;
  }
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    wrong_kind(*names.begin(), "a number");
    return 1;
  }
  return value->get<double>();
}

bool HfConfigReader::boolean(Names names, bool otherwise) {
  const json* value = find(names);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong_kind(*names.begin(), "true or false");
  return value->is_boolean() ? value->get<bool>() : otherwise;
}

std::string HfConfigReader::text(Names names, const std::string& otherwise) {
  const json* value = find(names);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) wrong_kind(*names.begin(), "a text");
  return value->is_string() ? value->get<std::string>() : otherwise;
}

template <typename T>
std::vector<T> HfConfigReader::list(Names names, bool (json::*is_kind)() const, const char* kind) {
  const json* value = find(names);
  if (value == nullptr) return {};
  const auto fits = [is_kind](const json& item) { return (item.*is_kind)(); };
  if (value->is_array() && std::all_of(value->begin(), value->end(), fits))
    return value->get<std::vector<T>>();
  wrong_kind(*names.begin(), kind);
  return {};
}

std::vector<int64_t> HfConfigReader::integers(Names names) {
  return list<int64_t>(names, &json::is_number_integer, "a list of integers");
}

std::vector<std::string> HfConfigReader::texts(Names names) {
  return list<std::string>(names, &json::is_string, "a list of texts");
}

json HfConfigReader::object(const char* name) {
  const json* value = find({name});
  if (value == nullptr) return json::object();
  if (!value->is_object()) wrong_kind(name, "an object");
  return value->is_object() ? *value : json::object();
}

bool HfConfigReader::has(const char* name) const {
  const auto at = root_.find(name);
  return at != root_.end() && !at->is_null();
}

bool HfConfigReader::states_null(const char* name) const {
  const auto at = root_.find(name);
  return at != root_.end() && at->is_null();
}

void HfConfigReader::pass_over(Names names) {
  for (const char* name : names) read_.insert(name);
}

std::string HfConfigReader::shown(const char* name) const {
  const auto at = root_.find(name);
  return fmt::format("\"{}\": {}", name, at == root_.end() ? "null" : shown_value(*at));
}

void HfConfigReader::finish() {
  for (const auto& item : root_.items()) {
    if (read_.count(item.key()) != 0 || item.value().is_null() || is_idle_hf_key(item.key()))
      continue;
    unsupported(
        fmt::format("\"{}\": {} is not known", shown_name(item.key()), shown_value(item.value())));
  }
  if (faults_.empty() && unsupported_.empty()) return;
  std::vector<std::string> lines = faults_;
  for (const std::string& line : unsupported_) lines.push_back("not supported: " + line);
  constexpr size_t kShown = 60;
  const size_t more = lines.size() > kShown ? lines.size() - kShown : 0;
  lines.resize(lines.size() - more);
  fail(faults_.empty() ? ExitCode::usage : ExitCode::checkpoint, "{}:\n  {}{}", place_,
       fmt::join(lines, "\n  "), more > 0 ? fmt::format("\n  and {} more", more) : "");
}

}  // namespace troupe
