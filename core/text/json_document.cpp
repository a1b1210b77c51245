#include "core/text/json_document.h"

#include <nlohmann/json.hpp>

namespace troupe {
namespace {

using nlohmann::json;

// What the first value of a text is, from the events of the parser.
class Shape final : public nlohmann::json_sax<json> {
 public:
  explicit Shape(const std::string& field) : field_(field) {}

  bool null() override { return value(false); }
  bool boolean(bool) override { return value(false); }
  bool number_integer(number_integer_t) override { return value(false); }
  bool number_unsigned(number_unsigned_t) override { return value(false); }
  bool number_float(number_float_t, const string_t&) override { return value(false); }
  bool binary(binary_t&) override { return value(false); }
  bool string(string_t&) override {
    if (depth_ == 1 && in_field_) field_is_text = true;
    return value(true);
  }
  bool start_object(std::size_t) override {
    value(true);
    if (depth_++ == 0) object = true;
    return true;
  }
  bool start_array(std::size_t) override {
    value(false);
    if (depth_++ == 0) list = true;
    return true;
  }
  bool end_object() override { return --depth_ >= 0; }
  bool end_array() override { return --depth_ >= 0; }
  bool key(string_t& name) override {
    if (depth_ == 1) in_field_ = name == field_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    failed_at = position;
    return false;
  }

  bool object = false;
  bool list = false;
  bool of_texts = false;  // the first element of the list is an object or a text
  bool field_is_text = false;
  std::size_t failed_at = SIZE_MAX;

 private:
  bool value(bool may_be_text) {
    if (depth_ == 1 && list && elements_++ == 0) of_texts = may_be_text;
    return true;
  }

  const std::string& field_;
  int64_t depth_ = 0;
  int64_t elements_ = 0;
  bool in_field_ = false;
};

}  // namespace

JsonDocument json_document(const FileHead& head, const std::string& field) {
  const size_t begin = head.bytes.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return JsonDocument::none;
  const char first = head.bytes[begin];
  if (first != '[' && first != '{') return JsonDocument::none;
  Shape shape(field);
  // Objects may follow each other; behind a list nothing may.
  json::sax_parse(head.bytes.begin(), head.bytes.end(), &shape, json::input_format_t::json,
                  first == '[');
  const bool good =
      shape.failed_at == SIZE_MAX || (!head.whole && shape.failed_at >= head.bytes.size());
  if (!good) return JsonDocument::none;
  if (shape.list && shape.of_texts) return JsonDocument::list;
  if (shape.object && shape.field_is_text) return JsonDocument::object;
  return JsonDocument::none;
}

bool begins_like_json(std::string_view head) {
  const std::string no_field;
  Shape shape(no_field);
  json::sax_parse(head.begin(), head.end(), &shape);
  return shape.failed_at == SIZE_MAX || shape.failed_at >= head.size();
}

}  // namespace troupe
