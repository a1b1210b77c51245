// Tokenised data on disk: the .bin/.idx pair of Megatron-LM. PREFIX.bin holds the ids back to back;
// PREFIX.idx their type, the lengths of the sequences and which sequences begin a document.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/token_stream.h"

namespace troupe {

struct TokenIndex {
  TokenType type = TokenType::u16;
  int64_t tokens = 0;
  int64_t sequences = 0;
  int64_t documents = 0;                 // empty ones too
  std::vector<int64_t> document_starts;  // token positions of the documents that are not empty
};

// Checks an .idx file against the size of its .bin. Anything wrong: ExitCode::data, with `place`.
TokenIndex parse_token_index(std::string_view idx, int64_t bin_bytes, const std::string& place);

// True if PREFIX.idx or PREFIX.bin exists.
bool is_token_file(const std::string& prefix);

struct TokenFile {
  TokenIndex index;
  TokenStream tokens;  // mapped
};
// Either file missing, damaged or not matching the other: ExitCode::data.
TokenFile open_token_file(const std::string& prefix);

// Which tokenizer made a pair: PREFIX.meta.json, written by `data build`. Pairs made by other
// programs have none.
struct TokenFileOrigin {
  std::string tokenizer;  // as given
  uint64_t fingerprint = 0;
  int64_t vocab = 0;
  int64_t tokens = 0;
  uint64_t bin_hash = 0;     // XXH3 of the .bin file
  int64_t skipped_rows = 0;  // of the text that it was made from, as they could not be read
  // The token behind each document of several; "none"; nothing: built before that was recorded,
  // with the token of TokenizerOptions' "by_name".
  std::optional<std::string> end_of_text;
  std::string separator;  // the text there instead; empty = none
  int64_t separator_tokens = 0;
  std::vector<int64_t> unmarked;  // documents that no separator follows
};
std::optional<TokenFileOrigin> read_token_file_origin(const std::string& prefix);
// Marks the separators that `origin` tells of.
void mark_separators(const TokenFileOrigin& origin, TokenStream& tokens);

// Removes the temporary files that a writer which was ended by a signal left for this prefix, and
// returns their paths. Those of a writer that lives stay.
std::vector<std::string> remove_left_over(const std::string& prefix);

// Writes a pair. Until finish() returns, only *.tmp files beside it are touched (they go away with
// the writer); finish() syncs them and moves them into place, .idx last, so a pair is there whole
// or not at all. Directory or disk trouble: ExitCode::resource.
class TokenFileWriter {
 public:
  TokenFileWriter(std::string prefix, TokenType type);
  ~TokenFileWriter();
  TokenFileWriter(const TokenFileWriter&) = delete;
  TokenFileWriter& operator=(const TokenFileWriter&) = delete;

  void add(std::span<const int32_t> ids);  // to the document that is open
  void end_document();
  // origin: its tokens and bin_hash are filled in here.
  void finish(std::optional<TokenFileOrigin> origin = std::nullopt);
  int64_t tokens() const { return tokens_; }

 private:
  struct Output;
  void end_sequence();

  std::string prefix_;
  TokenType type_;
  std::unique_ptr<Output> bin_;
  int64_t tokens_ = 0;
  int64_t open_tokens_ = 0;  // of the sequence that is open
  std::vector<int32_t> lengths_;
  std::vector<int64_t> document_index_ = {0};
};

}  // namespace troupe
