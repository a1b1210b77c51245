#include "core/formats/safetensors_header.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"

namespace troupe {
namespace {

using nlohmann::json;

constexpr const char* kMetadata = "__metadata__";
constexpr size_t kMostDims = 32;

class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  HeaderReader(const std::string& path, int64_t data_bytes, std::vector<SavedTensor>& tensors,
               std::map<std::string, std::string>& metadata)
      : path_(path), data_bytes_(data_bytes), tensors_(tensors), metadata_(metadata) {}

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("true or false"); }
  bool number_integer(number_integer_t value) override { return refuse(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return refuse(text); }
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (list_ == nullptr) return refuse(std::to_string(value));
    if (value > INT64_MAX || list_->size() >= kMostDims) return refuse("a number out of range");
    list_->push_back(static_cast<int64_t>(value));
    return true;
  }
  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) {
      metadata_[key_] = std::move(text);
      return true;
    }
    if (depth_ != 2 || key_ != "dtype" || type_) return refuse("a text");
    type_ = stored_type(text);
    if (!type_) fail_at("has the unknown type {}", shown_name(text));
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ > 1 || list_ != nullptr) return refuse("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) finish_tensor();
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || list_ != nullptr) return refuse("a list");
    auto& list = key_ == "shape" ? shape_ : offsets_;
    if ((key_ != "shape" && key_ != "data_offsets") || list) return refuse("a list");
    list_ = &list.emplace();
    return true;
  }
  bool end_array() override {
    list_ = nullptr;
    return true;
  }
  bool key(string_t& text) override {
    if (depth_ == 1) {
      name_ = text;
      in_metadata_ = name_ == kMetadata;
      type_.reset();
      shape_.reset();
      offsets_.reset();
    }
    key_ = std::move(text);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    fail(ExitCode::checkpoint, "{}: its header is not valid JSON at byte {}", path_, position);
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail_at(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ExitCode::checkpoint, "{}: the tensor {} {}", path_, shown_name(name_),
         fmt::format(format, std::forward<Args>(args)...));
  }
  bool refuse(const std::string& what) const {
    fail(ExitCode::checkpoint, "{}: its header has {} where none belongs{}", path_,
         shown_name(what),
         depth_ == 0 ? std::string()
                     : fmt::format(" (in {})", shown_name(depth_ == 1 ? key_ : name_)));
  }
  void finish_tensor() {
    if (!type_ || !shape_ || !offsets_ || offsets_->size() != 2)
      fail_at("lacks its dtype, shape or two data_offsets");
    const int64_t begin = offsets_->front();
    const int64_t end = offsets_->back();
    if (begin > end || end > data_bytes_)
      fail_at("stands at bytes {} to {} of {}", begin, end, data_bytes_);
    const std::optional<int64_t> count = element_count(*shape_);
    int64_t bytes = 0;
    if (!count || __builtin_mul_overflow(*count, size_of(*type_), &bytes) || bytes != end - begin) {
      fail_at("of type {} and shape {} has {} bytes", name(*type_), shape_text(*shape_),
              end - begin);
    }
    for (const unsigned char c : name_) {
      if (c < 0x20 || c == 0x7f) fail_at("has a control character in its name");
    }
    tensors_.push_back({name_, *type_, std::move(*shape_), begin, bytes});
  }

  const std::string& path_;
  int64_t data_bytes_;
  std::vector<SavedTensor>& tensors_;
  std::map<std::string, std::string>& metadata_;
  int depth_ = 0;
  std::string name_;  // of the tensor
  std::string key_;   // the last one
  bool in_metadata_ = false;
  std::optional<StoredType> type_;
  std::optional<std::vector<int64_t>> shape_;
  std::optional<std::vector<int64_t>> offsets_;
  std::vector<int64_t>* list_ = nullptr;  // that is being read
};

}  // namespace

void parse_safetensors_header(std::string_view header, const std::string& path, int64_t data_bytes,
                              std::vector<SavedTensor>& tensors,
                              std::map<std::string, std::string>& metadata) {
  if (header.empty() || header.front() != '{')
    fail(ExitCode::checkpoint, "{}: its header is not a JSON object", path);
  HeaderReader reader(path, data_bytes, tensors, metadata);
  json::sax_parse(header, &reader);
}

std::string safetensors_header(const std::vector<SavedTensor>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  for (const SavedTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", name(tensor.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {tensor.offset, tensor.offset + tensor.bytes}}};
  }
  std::string text = header.dump();
  constexpr size_t kAlignment = 8;
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

}  // namespace troupe
