#include "core/text/text_file.h"

#include <algorithm>

#include "core/text/utf8.h"

namespace troupe {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

bool continues(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

size_t character_begin(std::string_view text, size_t at) {
  size_t begin = at;
  while (begin > 0 && at - begin < 3 && begin < text.size() && continues(text[begin])) --begin;
  const bool lead = begin < text.size() && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0xC0;
  return lead ? begin : at;
}

TextFile::TextFile(const std::string& path, const TextOptions& options) : file_(path) {
  if (options.format == TextFormat::by_name) return;
  leave_mark_out_ = true;
  compression_ = compression_of(file_.bytes());
  if (compression_ != Compression::none)
    unpacked_ = std::make_unique<Decompressor>(compression_, file_.bytes(), path);
}

int64_t TextFile::text_size() const {
  const bool mark = leave_mark_out_ && file_.bytes().starts_with(kByteOrderMark);
  return size() - (mark ? static_cast<int64_t>(kByteOrderMark.size()) : 0);
}

int64_t TextFile::position() const {
  return unpacked_ ? unpacked_->position() : static_cast<int64_t>(given_);
}

std::string_view TextFile::next() {
  const bool begins = !begun_;
  begun_ = true;
  std::string_view piece = next_bytes();
  if (!begins || !leave_mark_out_) return piece;
  if (piece.starts_with(kByteOrderMark)) piece.remove_prefix(kByteOrderMark.size());
  return piece.empty() ? next_bytes() : piece;
}

std::string_view TextFile::next_bytes() {
  if (!unpacked_) {
    const std::string_view rest = file_.bytes().substr(given_);
    const size_t cut = rest.size() <= kPiece ? rest.size() : character_begin(rest, kPiece);
    given_ += cut;
    return rest.substr(0, cut);
  }
  buffer_.erase(0, given_);
  while (!drained_ && buffer_.size() < kPiece + 4) {
    const std::string_view more = unpacked_->next();
    drained_ = more.empty();
    buffer_ += more;
  }
  given_ = drained_ ? std::min(buffer_.size(), kPiece) : kPiece;
  given_ = given_ == buffer_.size() ? given_ : character_begin(buffer_, given_);
  return std::string_view(buffer_).substr(0, given_);
}

}  // namespace troupe
