// Making and checking .bin/.idx pairs from text: the work behind `data build` and `data verify`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/text/raw_tokens.h"
#include "core/text/text_source.h"
#include "core/text/token_file.h"
#include "core/text/tokenizer.h"

namespace troupe {

struct BuildRequest {
  std::vector<std::string> inputs;  // text files, JSONL files, folders (see corpus.h)
  std::string tokenizer_name;       // as given, kept in the .meta.json
  TextOptions text;                 // how the inputs are read
  std::string separator;  // behind documents, for a tokenizer without an end-of-text token
  std::string prefix;     // PREFIX.bin, PREFIX.idx and PREFIX.meta.json are written
};

// Creates the folder of the pair. Throws Error(usage) where files at the prefix are no pair.
void prepare_target(const std::string& prefix);

struct BuildResult {
  int64_t documents = 0;
  int64_t empty = 0;  // documents without text, left out
  int64_t tokens = 0;
  int64_t bytes = 0;   // of text read
  int64_t joined = 0;  // documents of several that nothing separates (see joined_documents)
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

// The inputs are ids already: files of llm.c, or of bare integers of type `raw`
// (core/text/raw_tokens.h). A document ends behind each end-of-text token, and each file ends one;
// end-of-text tokens at its beginning, where llm.c puts them, belong to it. tokenizer: whose ids
// they are; it is recorded, and ids that it does not have are refused. Null: one document a file,
// and no tokenizer is recorded. `bytes` of the result are those of the files.
BuildResult build_from_raw(const BuildRequest& request, std::optional<RawType> raw,
                           const Tokenizer* tokenizer,
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
