#include "core/text/token_stream.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"

namespace troupe {
namespace {

template <typename T>
void widen(const std::byte* data, int64_t first, std::span<int32_t> out) {
  // memcpy: a mapped file gives no alignment.
  const std::byte* from = data + first * static_cast<int64_t>(sizeof(T));
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    if constexpr (sizeof(T) == 8) {
      out[i] = value < 0 || value > INT32_MAX ? -1 : static_cast<int32_t>(value);
    } else {
      out[i] = static_cast<int32_t>(value);
    }
  }
}

void copy_ids(const std::byte* data, TokenType type, int64_t first, std::span<int32_t> out) {
  switch (type) {
    case TokenType::u8:
      return widen<uint8_t>(data, first, out);
    case TokenType::i8:
      return widen<int8_t>(data, first, out);
    case TokenType::u16:
      return widen<uint16_t>(data, first, out);
    case TokenType::i16:
      return widen<int16_t>(data, first, out);
    case TokenType::i32:
      return widen<int32_t>(data, first, out);
    case TokenType::i64:
      return widen<int64_t>(data, first, out);
    case TokenType::f32:
    case TokenType::f64:
      break;
  }
  require(false, "token ids of type {}", name(type));
}

}  // namespace

int64_t size_of(TokenType type) {
  switch (type) {
    case TokenType::u8:
    case TokenType::i8:
      return 1;
    case TokenType::u16:
    case TokenType::i16:
      return 2;
    case TokenType::i32:
    case TokenType::f32:
      return 4;
    case TokenType::i64:
    case TokenType::f64:
      return 8;
  }
  return 0;
}

const char* name(TokenType type) {
  switch (type) {
    case TokenType::u8:
      return "u8";
    case TokenType::i8:
      return "i8";
    case TokenType::i16:
      return "i16";
    case TokenType::i32:
      return "i32";
    case TokenType::i64:
      return "i64";
    case TokenType::f64:
      return "f64";
    case TokenType::f32:
      return "f32";
    case TokenType::u16:
      return "u16";
  }
  return "?";
}

TokenStream::TokenStream(std::shared_ptr<const void> owner, const std::byte* data, TokenType type,
                         int64_t size, std::vector<int64_t> document_starts, std::string place,
                         bool of_text)
    : owner_(std::move(owner)),
      data_(data),
      type_(type),
      size_(size),
      document_starts_(std::make_shared<const std::vector<int64_t>>(std::move(document_starts))),
      place_(std::move(place)),
      of_text_(of_text) {
  require(size == 0 || (!document_starts_->empty() && document_starts_->front() == 0),
          "{}: the first document does not begin at token 0", place_);
}

std::span<const int64_t> TokenStream::document_starts() const {
  if (!document_starts_) return {};
  return *document_starts_;
}

void TokenStream::read(int64_t first, std::span<int32_t> out, int64_t vocab) const {
  const auto count = static_cast<int64_t>(out.size());
  require(first >= 0 && first + count <= size_, "tokens [{}, {}) of {} in {}", first, first + count,
          size_, place_);
  copy_ids(data_, type_, first, out);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = out[static_cast<size_t>(i)];
    if (id < 0 || id >= vocab)
      fail(ExitCode::data,
           "{}: token {} has id {}, outside the vocabulary [0, {}): the ids are those of another "
           "tokenizer (or the vocabulary of the model is too small)",
           place_, first + i, id, vocab);
  }
}

void TokenStream::read_documents(int64_t first, std::span<int32_t> out) const {
  if (out.empty()) return;
  require(first >= 0 && first + static_cast<int64_t>(out.size()) <= size_,
          "documents of tokens from {} in {}", first, place_);
  const std::span<const int64_t> starts = document_starts();
  auto next = std::upper_bound(starts.begin(), starts.end(), first);
  for (size_t i = 0; i < out.size(); ++i) {
    while (next != starts.end() && *next <= first + static_cast<int64_t>(i)) ++next;
    out[i] = static_cast<int32_t>(next - starts.begin()) - 1;
  }
}

int64_t TokenStream::documents_beginning(int64_t first, int64_t count) const {
  const std::span<const int64_t> starts = document_starts();
  return std::lower_bound(starts.begin(), starts.end(), first + count) -
         std::lower_bound(starts.begin(), starts.end(), first);
}

void TokenStream::read_endings(int64_t first, std::span<uint8_t> out) const {
  std::fill(out.begin(), out.end(), uint8_t{0});
  if (!ending_starts_) return;
  const int64_t end = first + static_cast<int64_t>(out.size());
  const std::vector<int64_t>& starts = *ending_starts_;
  auto next = std::upper_bound(starts.begin(), starts.end(), first - ending_tokens_);
  for (; next != starts.end() && *next < end; ++next)
    for (int64_t at = std::max(first, *next); at < std::min(end, *next + ending_tokens_); ++at)
      out[static_cast<size_t>(at - first)] = 1;
}

void TokenStream::mark_endings(std::vector<int64_t> starts, int64_t tokens) {
  if (starts.empty()) return;
  ending_starts_ = std::make_shared<const std::vector<int64_t>>(std::move(starts));
  ending_tokens_ = tokens;
}

void TokenStream::check_ids(int64_t vocab) const {
  constexpr int64_t kChunk = 1 << 16;
  std::vector<int32_t> ids;
  for (int64_t first = 0; first < size_; first += kChunk) {
    ids.resize(static_cast<size_t>(std::min(kChunk, size_ - first)));
    read(first, ids, vocab);
  }
}

TokenStream TokenStream::slice(int64_t first, int64_t count) const {
  require(first >= 0 && count >= 0 && first + count <= size_, "slice [{}, {}) of {} in {}", first,
          first + count, size_, place_);
  const std::span<const int64_t> all = document_starts();
  std::vector<int64_t> starts;
  if (count > 0) starts.push_back(0);
  for (auto next = std::upper_bound(all.begin(), all.end(), first);
       next != all.end() && *next < first + count; ++next)
    starts.push_back(*next - first);
  TokenStream out(owner_, data_ + first * size_of(type_), type_, count, std::move(starts), place_,
                  of_text_);
  if (ending_starts_) {
    std::vector<int64_t> endings;
    for (const int64_t start : *ending_starts_)
      if (start + ending_tokens_ > first && start < first + count) endings.push_back(start - first);
    out.mark_endings(std::move(endings), ending_tokens_);
  }
  return out;
}

TokenBuilder::TokenBuilder(int64_t vocab)
    : type_(vocab <= 256     ? TokenType::u8
            : vocab <= 65536 ? TokenType::u16
                             : TokenType::i32),
      data_(std::make_shared<std::vector<std::byte>>()) {}

void TokenBuilder::start_document() { starts_document_ = true; }

void TokenBuilder::add(std::span<const int32_t> ids) {
  if (ids.empty()) return;
  if (starts_document_) document_starts_.push_back(size_);
  starts_document_ = false;
  const auto width = static_cast<size_t>(size_of(type_));
  const size_t before = data_->size();
  data_->resize(before + ids.size() * width);
  std::byte* out = data_->data() + before;
  // Little-endian: the low bytes of an id come first.
  for (size_t i = 0; i < ids.size(); ++i) std::memcpy(out + i * width, &ids[i], width);
  size_ += static_cast<int64_t>(ids.size());
}

void TokenBuilder::add_ending(std::span<const int32_t> ids) {
  if (ids.empty()) return;
  const auto count = static_cast<int64_t>(ids.size());
  require(ending_starts_.empty() || ending_tokens_ == count,
          "{} tokens end a document, {} the one before", count, ending_tokens_);
  ending_tokens_ = count;
  ending_starts_.push_back(size_);
  add(ids);
}

TokenStream TokenBuilder::finish(std::string place) {
  data_->shrink_to_fit();
  const std::byte* data = data_->data();
  TokenStream stream{std::move(data_), data, type_, size_, std::move(document_starts_),
                     std::move(place),
                     /*of_text=*/true};
  stream.mark_endings(std::move(ending_starts_), ending_tokens_);
  return stream;
}

}  // namespace troupe
