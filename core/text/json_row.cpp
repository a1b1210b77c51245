#include "core/text/json_row.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/text/json_repair.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

using nlohmann::json;

std::string without_library_words(const std::string& what) {
  // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while ..."
  const size_t begin = what.find(": ");
  std::string text = begin == std::string::npos ? what : what.substr(begin + 2);
  text.resize(std::min(text.find("; last read:"), text.size()));  // may be as long as the row
  constexpr size_t kMost = 300;
  text.resize(std::min(text.size(), kMost));
  text.resize(utf8_valid_prefix(text));
  return text;
}

// Takes the field's text from the events of the parser; nothing else is kept.
class RowReader final : public nlohmann::json_sax<json> {
 public:
  explicit RowReader(const std::string& field) : field_(field) {}

  bool null() override { return other("null"); }
  bool boolean(bool value) override { return other(value ? "true" : "false"); }
  bool number_integer(number_integer_t) override { return other("a number"); }
  bool number_unsigned(number_unsigned_t) override { return other("a number"); }
  bool number_float(number_float_t, const string_t&) override { return other("a number"); }
  bool binary(binary_t&) override { return other("binary"); }
  bool string(string_t& value) override {
    if (!at_field()) return other("a text");
    text = std::move(value);
    found_ = "a text";
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ == 0) object_ = true;
    return open("an object");
  }
  bool start_array(std::size_t) override { return open("a list"); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    wanted_ = name == field_;
    constexpr size_t kMost = 200;
    if (!wanted_ && names_.size() < kMost)
      names_ += (names_.empty() ? "" : ", ") + shown(name.substr(0, kMost));
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& cause) override {
    column = static_cast<int64_t>(std::max<std::size_t>(position, 1));
    fault = "is not valid JSON: " + without_library_words(cause.what());
    failed_ = true;
    return false;
  }

  // Once the row is read. Sets `fault`.
  RowKind kind() {
    if (failed_) return RowKind::no_json;
    if (!object_) {
      fault = fmt::format("is not a JSON object but {}", root_);
      return RowKind::no_object;
    }
    if (found_ == "a text") return RowKind::text;
    fault = found_.empty() ? fmt::format("has no field \"{}\"; its fields are: {}", field_,
                                         names_.empty() ? "none" : names_)
                           : fmt::format("has {} in field \"{}\", not a text", found_, field_);
    return RowKind::no_text;
  }

  std::string text;
  std::string fault;
  int64_t column = 0;

 private:
  static std::string shown(const std::string& name) {
    return json(name).dump(-1, ' ', false, json::error_handler_t::replace);
  }
  bool at_field() const { return object_ && depth_ == 1 && wanted_; }
  bool other(const char* what) {
    if (depth_ == 0) root_ = what;
    if (at_field()) found_ = what;
    return true;
  }
  bool open(const char* what) {
    other(what);
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  const std::string& field_;
  std::string names_;
  std::string found_;  // in the field; empty = there is none
  std::string root_;
  int64_t depth_ = 0;
  bool failed_ = false;
  bool object_ = false;
  bool wanted_ = false;  // the value that follows belongs to the field
};

}  // namespace

JsonRow read_json_row(std::string_view line, const TextOptions& options) {
  JsonRow row;
  RowReader reader(options.field);
  const auto take = [&row](RowReader& from) {
    row.kind = from.kind();
    row.text = row.kind == RowKind::text ? std::move(from.text) : std::string();
    row.fault = std::move(from.fault);
    row.column = from.column;
  };
  json::sax_parse(line.begin(), line.end(), &reader);
  take(reader);
  if (row.kind != RowKind::no_json) return row;

  const RepairedJson repaired = repair_json(line);
  if (!repaired.changed) return row;
  RowReader again(options.field);
  json::sax_parse(repaired.line.begin(), repaired.line.end(), &again);
  if (again.kind() == RowKind::no_json) return row;  // with the place in the line as it was
  const JsonRow first = std::move(row);
  take(again);
  if (row.kind != RowKind::text) return row;
  const RestoredText restored = restore_text(row.text);
  row.text = restored.text;
  row.half_pair = restored.halves;
  const bool half = restored.halves && options.invalid_utf8 != InvalidUtf8::replace;
  const bool invalid = restored.bytes && options.invalid_utf8 == InvalidUtf8::error;
  if (!half && !invalid) return row;
  row.kind = RowKind::no_json;
  row.text.clear();
  row.column = first.column;
  row.fault = half ? "has half a surrogate pair in its text, which has no form in UTF-8"
                   : "has a byte in its text that is no UTF-8";
  return row;
}

}  // namespace troupe
