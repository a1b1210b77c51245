#include "core/text/byte_tokenizer.h"

#include <array>

#include "core/base/error.h"

namespace troupe {
namespace {

class ByteTokenizer final : public Tokenizer {
 public:
  ByteTokenizer() {
    for (int i = 0; i < 256; ++i) bytes_[static_cast<size_t>(i)] = static_cast<char>(i);
  }
  std::string description() const override { return "byte"; }
  int64_t vocab_size() const override { return 256; }
  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    const size_t before = ids.size();
    ids.resize(before + text.size());
    for (size_t i = 0; i < text.size(); ++i) ids[before + i] = static_cast<uint8_t>(text[i]);
  }
  std::string_view id_to_bytes(int64_t id) const override {
    require(id >= 0 && id < 256, "token id {} is outside the byte vocabulary [0, 256)", id);
    return {bytes_.data() + id, 1};
  }
  bool is_special(int64_t) const override { return false; }
  const EndOfText& end() const override { return end_; }
  size_t safe_cut(std::string_view text, size_t limit) const override {
    return text.size() < limit ? text.size() : limit;
  }
  uint64_t fingerprint() const override { return 0x62797465; }  // "byte"
  const std::vector<std::string>& files() const override { return files_; }

 private:
  std::vector<std::string> files_;
  EndOfText end_;
  std::array<char, 256> bytes_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

}  // namespace troupe
