#include "core/text/json_document.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "core/text/json_repair.h"

namespace troupe {
namespace {

using nlohmann::json;

// What one value is, from the events of the parser.
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
    if (at_field_) levels_.back().has_text = true;
    // One of many texts in the field.
    if (levels_.size() > 1 && levels_.back().in_field) {
      std::prev(levels_.end(), 2)->has_text = true;
      columns = true;
    }
    return value(true);
  }
  bool start_object(std::size_t) override {
    value(true);
    return open();
  }
  bool start_array(std::size_t) override {
    list = list || levels_.empty();
    value(false);
    return open();
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    at_field_ = name == field_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    failed_at = position;
    return false;
  }
  // The text ended before the value did: what was open is all there is.
  void close_all() {
    while (!levels_.empty()) close();
  }

  bool list = false;
  bool of_texts = false;    // the first element of the list is an object or a text
  bool columns = false;     // some field holds a list, or an object, of texts
  bool outer_text = false;  // the value itself is an object with text in the field
  bool inner_text = false;  // an object inside is
  std::size_t failed_at = SIZE_MAX;

 private:
  struct Level {
    bool in_field = false;  // it is the value of the field
    bool has_text = false;  // an object with text in the field
  };
  bool value(bool may_be_text) {
    if (list && levels_.size() == 1 && elements_++ == 0) of_texts = may_be_text;
    in_field_ = std::exchange(at_field_, false);
    return true;
  }
  bool open() {
    levels_.push_back({.in_field = in_field_});
    return true;
  }
  bool close() {
    if (levels_.back().has_text) (levels_.size() == 1 ? outer_text : inner_text) = true;
    levels_.pop_back();
    return true;
  }

  const std::string& field_;
  std::vector<Level> levels_;
  int64_t elements_ = 0;
  bool at_field_ = false;  // the value that follows is that of the field
  bool in_field_ = false;  // the one that came was
};

// Parses the next value; false when it is no JSON. One that the end of the text cuts is read as far
// as it goes.
bool read_value(std::istream& text, Shape& shape) {
  if (json::sax_parse(text, &shape, json::input_format_t::json, /*strict=*/false)) return true;
  const bool cut = text.peek() == std::istream::traits_type::eof();
  if (cut) shape.close_all();
  return cut;
}

// Skips what may stand between values, with commas and the marks of sequences (RFC 7464). The
// character that follows, or EOF.
int next_character(std::istream& text) {
  while (std::string_view(" \t\r\n,\x1E").find(static_cast<char>(text.peek())) !=
             std::string_view::npos &&
         text.good())
    text.get();
  return text.peek();
}

}  // namespace

JsonDocument json_document(const FileHead& head, const std::string& field) {
  const size_t begin = head.bytes.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return JsonDocument::none;
  if (head.bytes[begin] != '[' && head.bytes[begin] != '{') return JsonDocument::none;
  std::istringstream text(repair_json(head.bytes.substr(begin)).line);
  Shape first(field);
  const bool good = read_value(text, first);
  if (first.list)
    return (good && first.of_texts) || first.inner_text ? JsonDocument::list : JsonDocument::none;
  if (first.outer_text) return first.columns ? JsonDocument::columns : JsonDocument::objects;
  if (first.inner_text) return JsonDocument::nested;
  if (!good) return JsonDocument::none;
  if (next_character(text) != '{') return JsonDocument::none;
  Shape second(field);
  return read_value(text, second) ? JsonDocument::objects : JsonDocument::none;
}

bool begins_like_json(std::string_view head) {
  const std::string no_field;
  Shape shape(no_field);
  json::sax_parse(head.begin(), head.end(), &shape);
  return shape.failed_at == SIZE_MAX || shape.failed_at >= head.size();
}

}  // namespace troupe
