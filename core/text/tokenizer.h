// Tokenizers: text to token ids and back. `byte` has one id per byte; byte-level BPE is GPT-2's
// scheme (vocabulary, merges and a fixed split pattern), read from a folder or a tokenizer.json.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/setting_name.h"

namespace troupe {

// How a tokenizer was told, or found out, where texts end.
struct EndOfText {
  std::optional<int32_t> id;  // follows a document
  std::vector<int32_t> stop;  // ids that end what a model writes; `id` is one of them
  std::string origin;         // what said so: a file and its key, "its name", ...
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // One line for banners: "byte", "byte-level BPE, 50257 tokens, GPT-2 pattern".
  virtual std::string description() const = 0;
  // Largest id + 1: what a model's embedding needs at least.
  virtual int64_t vocab_size() const = 0;
  // Appends the ids of a text. Any bytes are accepted: invalid UTF-8 becomes byte tokens. Special
  // tokens written out in the text become their ids. Adds no token at the beginning or end.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) const = 0;
  // The bytes of one token; empty for an id without token. The id must be below vocab_size().
  virtual std::string_view id_to_bytes(int64_t id) const = 0;
  virtual bool is_special(int64_t id) const = 0;
  // The tokens that end a document, if the vocabulary has any ("<|endoftext|>" and the like).
  virtual const EndOfText& end() const = 0;
  // Where a text may be cut so that encoding the pieces gives the ids of the whole: the largest
  // such position up to `limit`, else the smallest beyond it, else the text's end.
  virtual size_t safe_cut(std::string_view text, size_t limit) const = 0;
  // Hash of everything that decides ids, and of the end of text: equal fingerprints give equal ids.
  virtual uint64_t fingerprint() const = 0;
  // Paths of all files that were read to make it; none for `byte`.
  virtual const std::vector<std::string>& files() const = 0;

  // The token that follows a document, if any.
  std::optional<int32_t> end_of_text() const { return end().id; }
  std::vector<int32_t> encode(std::string_view text) const;
  // Exact bytes; may be invalid UTF-8 when ids cut a character (see Utf8Stream).
  std::string decode(std::span<const int32_t> ids) const;
};

struct TokenizerOptions {
  // The text of the token that ends a document; "none"; "auto": what the tokenizer's files say,
  // else the name of a special token; "by_name": <|endoftext|>, <|end_of_text|> or </s>.
  std::string end_of_text = "auto";
  SettingNames names = bare_setting_names;  // what messages call it, and a separator
};

// `source` is "byte", a folder (vocab.json or encoder.json with merges.txt or vocab.bpe and what
// lies beside them, or a tokenizer.json, which wins), or the path of a tokenizer.json. Missing,
// unreadable, damaged or of another kind: ExitCode::data.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& source,
                                          const TokenizerOptions& options = {});

// Encodes a text of any size piece by piece (some megabytes each), with the ids of the whole.
// `take` gets the ids and the number of bytes that they stand for.
void encode_in_pieces(const Tokenizer& tokenizer, std::string_view text,
                      const std::function<void(std::span<const int32_t>, size_t)>& take);

// Turns pieces of bytes into whole UTF-8 characters, for text that is shown while it is made. What
// can never become a character comes out as U+FFFD.
class Utf8Stream {
 public:
  // The characters that are complete now.
  std::string push(std::string_view bytes);
  // What is left at the end.
  std::string finish();

 private:
  std::string pending_;  // at most 3 bytes: the beginning of a character
};

}  // namespace troupe
