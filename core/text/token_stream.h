// A row of token ids with the places where documents begin, in memory or mapped from a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe {

// Codes as Megatron's .idx files write them. Token ids use the integer ones only.
enum class TokenType : uint8_t { u8 = 1, i8, i16, i32, i64, f64, f32, u16 };
int64_t size_of(TokenType type);
const char* name(TokenType type);

// A value: copies share everything, slices the ids.
class TokenStream {
 public:
  TokenStream() = default;
  // data: `size` ids of `type`, little-endian, kept alive by `owner`. document_starts: rising token
  // positions, the first is 0 (empty when there are no tokens). `place` names the source in errors.
  // of_text: see there.
  TokenStream(std::shared_ptr<const void> owner, const std::byte* data, TokenType type,
              int64_t size, std::vector<int64_t> document_starts, std::string place,
              bool of_text = false);

  int64_t size() const { return size_; }
  TokenType type() const { return type_; }
  const std::string& place() const { return place_; }
  int64_t documents() const { return static_cast<int64_t>(document_starts().size()); }
  std::span<const int64_t> document_starts() const;

  // Ids [first, first + out.size()). An id that is negative or >= vocab fails with ExitCode::data.
  void read(int64_t first, std::span<int32_t> out, int64_t vocab) const;
  // Number of the document that holds each of those tokens, counted from 0.
  void read_documents(int64_t first, std::span<int32_t> out) const;
  // How many documents begin at one of the tokens [first, first + count).
  int64_t documents_beginning(int64_t first, int64_t count) const;
  // Made from a text at hand: every token but endings is letters of it, a special one too, which
  // the text then spells out. Otherwise the text is not known, and special tokens count as no
  // letters.
  bool of_text() const { return of_text_; }
  // Reads all ids once; fails as read() does.
  void check_ids(int64_t vocab) const;
  // 1 for each of those tokens that was put behind the text of a document (an end-of-text token, or
  // one of a separator), 0 for the others.
  void read_endings(int64_t first, std::span<uint8_t> out) const;
  // Says where such endings begin (rising; each has `tokens` tokens).
  void mark_endings(std::vector<int64_t> starts, int64_t tokens);
  // Tokens [first, first + count); a cut document counts as one on each side.
  TokenStream slice(int64_t first, int64_t count) const;

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  TokenType type_ = TokenType::i32;
  int64_t size_ = 0;
  std::shared_ptr<const std::vector<int64_t>> document_starts_;
  // May begin before the first token or end behind the last one, where a slice cuts one.
  std::shared_ptr<const std::vector<int64_t>> ending_starts_;
  int64_t ending_tokens_ = 0;
  std::string place_;
  bool of_text_ = false;
};

// Collects ids of a text in the smallest type that holds `vocab` ids.
class TokenBuilder {
 public:
  explicit TokenBuilder(int64_t vocab);
  void start_document();  // the next added token begins a document
  void add(std::span<const int32_t> ids);
  // Behind the text of the document that was added to; as many ids for every document that has any.
  void add_ending(std::span<const int32_t> ids);
  int64_t size() const { return size_; }
  TokenStream finish(std::string place);

 private:
  TokenType type_;
  std::shared_ptr<std::vector<std::byte>> data_;
  int64_t size_ = 0;
  bool starts_document_ = true;
  std::vector<int64_t> document_starts_;
  std::vector<int64_t> ending_starts_;
  int64_t ending_tokens_ = 0;
};

}  // namespace troupe
