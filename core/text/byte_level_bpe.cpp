#include "core/text/byte_level_bpe.h"

#include <xxhash.h>

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "core/base/error.h"
#include "core/text/end_of_text.h"
#include "core/text/unicode.h"

namespace troupe {
namespace {

// Pieces that came before in the same text, by hash; a newer piece takes the slot of an older one.
class PieceCache {
 public:
  explicit PieceCache(size_t text_bytes) : slots_(text_bytes < 4096 ? 0 : kSlots) {}
  // The ids of the piece, or false.
  bool take(std::string_view piece, uint64_t hash, std::vector<int32_t>& ids) const {
    if (slots_.empty()) return false;
    const Slot& slot = slots_[hash % kSlots];
    if (std::string_view(slot.text, slot.size) != piece) return false;
    ids.insert(ids.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
    return true;
  }
  void keep(std::string_view piece, uint64_t hash, const std::vector<int32_t>& ids) {
    Slot slot;
    if (slots_.empty() || ids.size() > slot.ids.size() || piece.size() > 256) return;
    slot.text = piece.data();
    slot.size = static_cast<uint32_t>(piece.size());
    slot.count = static_cast<uint32_t>(ids.size());
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
    slots_[hash % kSlots] = slot;
  }

 private:
  static constexpr size_t kSlots = 1 << 14;
  struct Slot {
    const char* text = nullptr;  // in the text being encoded
    uint32_t size = 0;
    uint32_t count = 0;
    std::array<int32_t, 8> ids;
  };
  std::vector<Slot> slots_;
};

class ByteLevelBpe final : public Tokenizer {
 public:
  explicit ByteLevelBpe(BpeModel model)
      : model_(std::move(model)),
        merges_(model_.merges),
        pattern_(model_.split),
        first_pass_(tokens_of_pass(model_, false)),
        second_pass_(tokens_of_pass(model_, true)) {
    for (const AddedToken& token : model_.added) {
      const auto id = static_cast<size_t>(token.id);
      if (id >= model_.tokens.size()) model_.tokens.resize(id + 1);
      model_.tokens[id] = token.content;
    }
    special_.assign(model_.tokens.size(), false);
    for (const AddedToken& token : model_.added)
      special_[static_cast<size_t>(token.id)] = token.special;
    if (model_.ignore_merges)
      for (size_t id = 0; id < model_.tokens.size(); ++id)
        if (!model_.tokens[id].empty()) whole_.emplace(model_.tokens[id], static_cast<int32_t>(id));
    fingerprint_ = hash_model();
  }

  std::string description() const override {
    return fmt::format("byte-level BPE, {} tokens, {} pattern{}, {}", vocab_size(),
                       name(model_.split), model_.nfc ? ", NFC" : "",
                       model_.end.id ? fmt::format("end of text {}", id_to_bytes(*model_.end.id))
                                     : "no end of text");
  }
  int64_t vocab_size() const override { return static_cast<int64_t>(model_.tokens.size()); }

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    PieceCache cache(text.size());
    std::deque<std::string> normalised;  // the cache points into them
    first_pass_.split(text, ids, [&](std::string_view between) {
      if (model_.nfc && !is_plainly_nfc(between)) between = normalised.emplace_back(nfc(between));
      second_pass_.split(between, ids,
                         [&](std::string_view plain) { encode_plain(plain, cache, ids); });
    });
  }
  std::string_view id_to_bytes(int64_t id) const override {
    require(id >= 0 && id < vocab_size(), "token id {} is outside the vocabulary [0, {})", id,
            vocab_size());
    return model_.tokens[static_cast<size_t>(id)];
  }
  bool is_special(int64_t id) const override {
    return id >= 0 && id < vocab_size() && special_[static_cast<size_t>(id)];
  }
  const EndOfText& end() const override { return model_.end; }
  // No pattern has a piece in which a space follows a character that is no white space, and the
  // look-ahead only looks to the right of white space. Nothing composes with a space.
  size_t safe_cut(std::string_view text, size_t limit) const override {
    if (text.size() <= limit) return text.size();
    const auto can_cut = [&](size_t at) {
      return first_pass_.can_cut(text, at) && second_pass_.can_cut(text, at);
    };
    for (size_t at = limit; at > 0; --at)
      if (can_cut(at)) return at;
    for (size_t at = limit + 1; at < text.size(); ++at)
      if (can_cut(at)) return at;
    return text.size();
  }
  uint64_t fingerprint() const override { return fingerprint_; }
  const std::vector<std::string>& files() const override { return model_.paths; }

 private:
  // In the second pass contents are matched in their normal form, as the text is.
  static std::vector<AddedToken> tokens_of_pass(const BpeModel& model, bool normalized) {
    std::vector<AddedToken> tokens;
    for (AddedToken token : model.added) {
      if (token.normalized != normalized) continue;
      if (normalized && model.nfc) token.content = nfc(token.content);
      tokens.push_back(std::move(token));
    }
    return tokens;
  }

  void encode_plain(std::string_view text, PieceCache& cache, std::vector<int32_t>& ids) const {
    Splitter splitter(pattern_, text);
    std::vector<int32_t> piece_ids;
    for (std::string_view piece = splitter.next(); !piece.empty(); piece = splitter.next()) {
      if (piece.size() == 1) {
        ids.push_back(byte_id(piece[0]));
        continue;
      }
      const uint64_t hash = XXH3_64bits(piece.data(), piece.size());
      if (cache.take(piece, hash, ids)) continue;
      piece_ids.clear();
      encode_piece(piece, piece_ids);
      ids.insert(ids.end(), piece_ids.begin(), piece_ids.end());
      cache.keep(piece, hash, piece_ids);
    }
  }

  void encode_piece(std::string_view piece, std::vector<int32_t>& ids) const {
    if (model_.ignore_merges) {
      const auto found = whole_.find(piece);
      if (found != whole_.end()) {
        ids.push_back(found->second);
        return;
      }
    }
    for (const char byte : piece) ids.push_back(byte_id(byte));
    apply_merges(merges_, ids);
  }

  int32_t byte_id(char byte) const { return model_.byte_ids[static_cast<uint8_t>(byte)]; }

  uint64_t hash_model() const {
    std::string all = fmt::format("{} {}\n", name(model_.split), model_.ignore_merges);
    const auto number = [&](int64_t value) {
      all.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    for (const std::string& token : model_.tokens) {
      number(static_cast<int64_t>(token.size()));
      all += token;
    }
    for (const int32_t id : model_.byte_ids) number(id);
    for (const BpeMerge& merge : model_.merges) {
      number(merge.left);
      number(merge.right);
      number(merge.result);
    }
    for (const AddedToken& token : model_.added) {
      number(token.id);
      number(token.normalized ? 1 : 0);
      all += token.content;
    }
    // What came later is written only where it is used: older fingerprints stay what they were.
    if (model_.nfc) all += "\nNFC";
    for (const AddedToken& token : model_.added)
      if (token.left_strip || token.right_strip || token.single_word)
        all += fmt::format("\n{} {:d}{:d}{:d}", token.id, token.left_strip, token.right_strip,
                           token.single_word);
    if (model_.end.id != end_of_text_by_name(model_.added))
      all += fmt::format("\nend {}", model_.end.id.value_or(-1));
    return XXH3_64bits(all.data(), all.size());
  }

  BpeModel model_;
  MergeTable merges_;
  SplitPattern pattern_;
  AddedTokens first_pass_;
  AddedTokens second_pass_;
  std::vector<bool> special_;
  std::unordered_map<std::string_view, int32_t> whole_;  // only for ignore_merges
  uint64_t fingerprint_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_level_bpe(BpeModel model) {
  return std::make_unique<ByteLevelBpe>(std::move(model));
}

}  // namespace troupe
