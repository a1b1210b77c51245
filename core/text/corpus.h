// The data of a run: what data.train, data.val and data.val_fraction name, as rows of token ids.
//
// A path is a text file, a JSON lines file (one document a row, its text in a field), the prefix of
// a .bin/.idx pair, or a folder (its files in byte order of their relative paths, each one document
// or JSON lines). Which of the two a file is, is told by its bytes (text_format.h); compressed
// files are read as what they hold. If the tokenizer has an end-of-text token, it follows each
// JSONL row and each file of a folder; a text file given by itself stays as it is. A
// separator stands there for tokenizers without such a token; it belongs to the document before it.
//
// val_fraction f holds out the last part of each path, which is never trained on: text files and
// folders are cut at byte floor(n * (1 - f)) of their text, moved back to the beginning of a
// character, and the two sides are tokenised apart; JSONL and .bin/.idx are cut at token floor(n *
// (1 - f)).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/text/text_options.h"
#include "core/text/token_stream.h"
#include "core/text/tokenizer.h"

namespace troupe {

// A file that was read for a corpus.
struct CorpusFile {
  std::string path;
  std::string name;  // below a folder; ".bin" and ".idx" of a pair
  // XXH3-64 of its bytes, where the .meta.json beside it says so, fits its size and is not older.
  std::optional<uint64_t> hash;
};

// Which files make a corpus, and what they are read as: equal kinds, names and bytes give equal
// text.
struct CorpusFiles {
  std::string kind;  // "text", "jsonl", "folder", "tokens"
  std::vector<CorpusFile> list;
};

struct CorpusPart {
  std::string path;
  double weight = 1.0;  // relative; samples mix in this proportion
  TokenStream tokens;
  CorpusFiles files = {};  // both sides of a path that is cut have the same
};

struct Corpus {
  std::vector<CorpusPart> parts;
  int64_t vocab = 0;  // ids are below this
  int64_t tokens() const;
};

struct DataPath {
  std::string path;
  double weight = 1.0;
};

struct DataSpec {
  std::vector<DataPath> train;
  std::string val;            // empty: none, or val_fraction
  double val_fraction = 0.0;  // in [0, 1); not together with val
  TextOptions text;           // how files are read
  std::string separator;      // behind documents, for tokenizers without an end-of-text token
};

struct RunData {
  Corpus train;
  Corpus held_out;     // no parts when neither val nor val_fraction is set
  int64_t joined = 0;  // documents of several that nothing separates (see joined_documents)
};

// Called now and then while a text is tokenised: `done` of its `total` bytes are. May throw.
using TokenisingWatch = std::function<void(const std::string& path, int64_t done, int64_t total)>;

// Loads and checks everything. vocab: the model's vocabulary (ids must lie below it); seq_len:
// each training part needs seq_len + 1 tokens, each held-out corpus 2. Missing, unreadable, empty,
// too short, ids beyond the vocabulary: ExitCode::data.
RunData load_run_data(const DataSpec& spec, const Tokenizer& tokenizer, int64_t vocab,
                      int64_t seq_len, const TokenisingWatch& watch = {});

// One path, uncut: for `eval --text`. Needs 2 tokens.
Corpus load_corpus(const std::string& path, const Tokenizer& tokenizer, int64_t vocab,
                   const TextOptions& text = {}, const std::string& separator = {});

// How often each id occurs, [vocab].
std::vector<int64_t> token_counts(const Corpus& corpus);

}  // namespace troupe
