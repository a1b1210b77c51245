#include "core/text/piece_encoder.h"

#include <algorithm>

namespace troupe {
namespace {

constexpr size_t kPiece = size_t{4} << 20;
// A cut is trusted when this much of what follows is known: more than any added token.
constexpr size_t kSeen = size_t{1} << 20;

}  // namespace

void PieceEncoder::encode(std::string_view text) {
  ids_.clear();
  tokenizer_.encode(text, ids_);
  take_(ids_);
}

void PieceEncoder::add(std::string_view piece) {
  pending_ += piece;
  wanted_ = std::max(wanted_, kPiece + kSeen);
  size_t done = 0;
  while (pending_.size() - done >= wanted_) {
    const std::string_view rest = std::string_view(pending_).substr(done);
    const size_t cut = tokenizer_.safe_cut(rest, kPiece);
    if (cut + kSeen > rest.size()) {  // what comes may hold the first place to cut at
      wanted_ = 2 * rest.size();
      break;
    }
    encode(rest.substr(0, cut));
    done += cut;
    wanted_ = kPiece + kSeen;
  }
  pending_.erase(0, done);
}

void PieceEncoder::finish() {
  if (!pending_.empty()) encode(pending_);
  pending_.clear();
  wanted_ = 0;
}

}  // namespace troupe
