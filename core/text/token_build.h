// Making and checking .bin/.idx pairs from text: the work behind `data build` and `data verify`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/text/text_source.h"
#include "core/text/token_file.h"
#include "core/text/tokenizer.h"

namespace troupe {

struct BuildRequest {
  std::vector<std::string> inputs;  // text files, JSONL files, folders (see corpus.h)
  std::string tokenizer_name;       // as given, kept in the .meta.json
  TextOptions text;                 // how the inputs are read
  std::string prefix;               // PREFIX.bin, PREFIX.idx and PREFIX.meta.json are written
};

struct BuildResult {
  int64_t documents = 0;
  int64_t empty = 0;  // documents without text, left out
  int64_t tokens = 0;
  int64_t bytes = 0;  // of text read
  TokenType type = TokenType::u16;
  TextReport report;                 // of all inputs
  std::vector<std::string> removed;  // files that a build which was stopped had left
};

// Each text file, JSONL row and file of a folder is a document; the tokenizer's end-of-text token
// follows as corpus.h says. progress(done, total) counts bytes of the inputs. An older pair at the
// prefix is replaced, anything else there is left alone and refused (ExitCode::usage). Inputs that
// cannot be read or hold no text: ExitCode::data; the output cannot be written: resource.
BuildResult build_token_file(const BuildRequest& request, const Tokenizer& tokenizer,
                             const std::function<void(int64_t, int64_t)>& progress);

struct VerifyResult {
  TokenIndex index;
  std::optional<TokenFileOrigin> origin;
  int64_t vocab = 0;        // that the ids were checked against; 0 = not known
  int32_t largest_id = -1;  // -1 without tokens
  bool hash_checked = false;
};

// Reads everything: header, tables, sizes, each id, and the hash and tokenizer that the .meta.json
// names. tokenizer may be null. The first fault: ExitCode::data.
VerifyResult verify_token_file(const std::string& prefix, const Tokenizer* tokenizer);

}  // namespace troupe
