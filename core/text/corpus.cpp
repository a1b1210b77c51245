#include "core/text/corpus.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/document_end.h"
#include "core/text/piece_encoder.h"
#include "core/text/text_file.h"
#include "core/text/text_source.h"
#include "core/text/token_file.h"

namespace troupe {
namespace {

struct Sides {
  TokenStream train;
  TokenStream held_out;
  CorpusFiles files = {};
  int64_t joined = 0;  // documents of several, with nothing behind them
};

int64_t cut_of(int64_t count, double held_out_fraction) {
  return static_cast<int64_t>(std::floor(static_cast<double>(count) * (1.0 - held_out_fraction)));
}

class SideBuilder {
 public:
  // took: called now and then while text becomes tokens.
  SideBuilder(const Tokenizer& tokenizer, const DocumentEnd& end, const std::function<void()>& took)
      : end_(end),
        out_(tokenizer.vocab_size()),
        encoder_(tokenizer, [this, &took](std::span<const int32_t> ids) {
          out_.add(ids);
          took();
        }) {}
  // The text goes on, in a document of its own where `first` is set.
  void add(std::string_view text, bool first) {
    if (first) out_.start_document();
    has_text_ = (has_text_ && !first) || !text.empty();
    encoder_.add(text);
  }
  void end_document(bool marked) {
    encoder_.finish();
    const bool ends = has_text_ && marked;
    has_text_ = false;
    if (!ends) return;
    ++marked_;
    out_.add_ending(end_.ids());
  }
  int64_t marked() const { return marked_; }
  TokenStream finish(const std::string& place) { return out_.finish(place); }

 private:
  const DocumentEnd& end_;
  TokenBuilder out_;
  PieceEncoder encoder_;
  bool has_text_ = false;  // in the document that is open
  int64_t marked_ = 0;     // documents with an end
};

Sides split_tokens(const TokenStream& tokens, double fraction) {
  const int64_t cut = cut_of(tokens.size(), fraction);
  return {tokens.slice(0, cut), tokens.slice(cut, tokens.size() - cut)};
}

Sides tokenise(const TextSource& source, const Tokenizer& tokenizer, const DocumentEnd& end,
               double fraction, const TokenisingWatch& watch) {
  int64_t done = 0;
  const std::function<void()> took = [&] {
    if (watch) watch(source.path(), done, source.bytes());
  };
  SideBuilder train(tokenizer, end, took);
  SideBuilder held_out(tokenizer, end, took);
  const auto joined = [&] { return end.ids().empty() ? train.marked() + held_out.marked() : 0; };
  if (source.has_rows() || fraction == 0.0) {
    const TextReport report = source.visit([&](const TextPiece& piece) {
      train.add(piece.text, piece.first);
      done = piece.done;
      if (piece.last) train.end_document(piece.marked);
    });
    say_what_was_met(source, report);
    Sides sides = split_tokens(train.finish(source.path()), fraction);
    sides.joined = joined();
    return sides;
  }
  const int64_t cut = cut_of(source.text_bytes(), fraction);
  const TextReport report = source.visit([&](const TextPiece& piece) {
    const auto size = static_cast<int64_t>(piece.text.size());
    int64_t inside = std::clamp<int64_t>(cut - piece.position, 0, size);
    if (inside > 0 && inside < size)
      inside = static_cast<int64_t>(character_begin(piece.text, static_cast<size_t>(inside)));
    const auto split = static_cast<size_t>(inside);
    train.add(piece.text.substr(0, split), piece.first);
    held_out.add(piece.text.substr(split), piece.first);
    done = piece.done;
    if (!piece.last) return;
    // A document that goes on on the other side does not end here.
    train.end_document(piece.marked && piece.position <= cut);
    held_out.end_document(piece.marked);
  });
  say_what_was_met(source, report);
  return {train.finish(source.path()), held_out.finish(source.path()), {}, joined()};
}

CorpusFiles files_of(const TextSource& source) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(source.path(), error);
  CorpusFiles files{folder ? "folder" : source.has_rows() ? "jsonl" : "text", {}};
  for (const std::string& path : source.files()) {
    const std::filesystem::path file(path);
    const std::filesystem::path name =
        folder ? file.lexically_relative(source.path()) : file.filename();
    files.list.push_back({path, name.string(), {}});
  }
  return files;
}

// A pair that another tokenizer made would train on nonsense without any sign of it. Marks the
// separators that the pair was built with. Returns the hash of the .bin file where the origin
// belongs to it.
std::optional<uint64_t> check_origin(const std::string& prefix, TokenStream& tokens,
                                     const Tokenizer& tokenizer, SettingNames names) {
  const std::optional<TokenFileOrigin> origin = read_token_file_origin(prefix);
  if (!origin) return std::nullopt;
  if (origin->tokens != tokens.size()) {
    log::warning("{}.meta.json describes {} tokens, {}.bin has {}: not checked against it", prefix,
                 origin->tokens, prefix, tokens.size());
    return std::nullopt;
  }
  if (origin->fingerprint == tokenizer.fingerprint()) {
    mark_separators(*origin, tokens);
    return origin->bin_hash;
  }
  const std::string made =
      fmt::format("{}: was made with another tokenizer ({}{}) than", prefix, origin->tokenizer,
                  origin->end_of_text ? ", end of text " + *origin->end_of_text : "");
  // A command has no say in the tokenizer of a model.
  const std::string chosen = setting_name(names, "tokenizer");
  if (chosen.empty())
    fail(ExitCode::data, "{} the model's ({}); build it again with that one", made,
         tokenizer.description());
  fail(ExitCode::data, "{} {} names ({}); build it again or change {} or {}{}", made, chosen,
       tokenizer.description(), chosen, setting_name(names, "end_of_text"),
       tokenizer.end_of_text() ? " (an older pair of the same tokenizer may need `none`)" : "");
}

// Whether the ids are younger than what describes them: their bytes may be others by now.
bool written_since(const std::string& prefix) {
  std::error_code error;
  const auto ids = std::filesystem::last_write_time(prefix + ".bin", error);
  const auto described = std::filesystem::last_write_time(prefix + ".meta.json", error);
  return !error && ids > described;
}

std::string without_extension(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string extension = file.extension().string();
  if (extension != ".bin" && extension != ".idx") return path;
  return path.substr(0, path.size() - extension.size());
}

Sides load_path(const std::string& path, const Tokenizer& tokenizer, const DocumentEnd& end,
                int64_t vocab, const TextOptions& text, double fraction,
                const TokenisingWatch& watch) {
  const std::string prefix = without_extension(path);
  std::error_code error;
  Sides sides;
  // A text file or folder of that very name comes first, unless the name is one of the pair's.
  if (is_token_file(prefix) && (prefix != path || !std::filesystem::exists(path, error))) {
    TokenFile file = open_token_file(prefix);
    std::optional<uint64_t> hash = check_origin(prefix, file.tokens, tokenizer, text.names);
    if (written_since(prefix)) hash.reset();
    sides = split_tokens(file.tokens, fraction);
    sides.files = {"tokens", {{prefix + ".bin", ".bin", hash}, {prefix + ".idx", ".idx", {}}}};
  } else {
    const TextSource source(path, text);
    sides = tokenise(source, tokenizer, end, fraction, watch);
    sides.files = files_of(source);
  }
  // Larger files are checked window by window as they are read.
  constexpr int64_t kScanLimit = int64_t{256} << 20;
  for (const TokenStream* side : {&sides.train, &sides.held_out})
    if (side->size() * size_of(side->type()) <= kScanLimit) side->check_ids(vocab);
  return sides;
}

void check_train_size(const CorpusPart& part, int64_t seq_len, double fraction) {
  if (part.tokens.size() > seq_len) return;
  fail(ExitCode::data,
       "{}: has {} tokens to train on{}; one sample needs seq_len + 1 = {}: give more text or a "
       "smaller seq_len",
       part.path, part.tokens.size(),
       fraction > 0.0 ? fmt::format(" after val_fraction {} is held out", fraction) : "",
       seq_len + 1);
}

void check_held_out_size(const Corpus& corpus, const std::string& key) {
  int64_t longest = 0;
  for (const CorpusPart& part : corpus.parts) longest = std::max(longest, part.tokens.size());
  if (longest >= 2) return;
  fail(ExitCode::data, "{}: the held-out text has {} tokens; 2 are needed for one prediction", key,
       longest);
}

Corpus load_held_out(const std::string& path, const Tokenizer& tokenizer, const DocumentEnd& end,
                     int64_t vocab, const TextOptions& text, const TokenisingWatch& watch) {
  Corpus corpus;
  corpus.vocab = vocab;
  Sides whole = load_path(path, tokenizer, end, vocab, text, 0.0, watch);
  corpus.parts.push_back({path, 1.0, std::move(whole.train), std::move(whole.files)});
  check_held_out_size(corpus, path);
  return corpus;
}

}  // namespace

int64_t Corpus::tokens() const {
  int64_t sum = 0;
  for (const CorpusPart& part : parts) sum += part.tokens.size();
  return sum;
}

RunData load_run_data(const DataSpec& spec, const Tokenizer& tokenizer, int64_t vocab,
                      int64_t seq_len, const TokenisingWatch& watch) {
  require(!spec.train.empty(), "no text to train on");
  require(spec.val_fraction >= 0.0 && spec.val_fraction < 1.0, "a held-out share of {}",
          spec.val_fraction);
  require(spec.val.empty() || spec.val_fraction == 0.0, "both held-out text and a held-out share");
  const DocumentEnd end(tokenizer, spec.separator, spec.text.names);
  RunData data;
  data.train.vocab = vocab;
  data.held_out.vocab = vocab;
  for (const DataPath& path : spec.train) {
    Sides sides = load_path(path.path, tokenizer, end, vocab, spec.text, spec.val_fraction, watch);
    data.joined += sides.joined;
    data.train.parts.push_back({path.path, path.weight, std::move(sides.train), sides.files});
    check_train_size(data.train.parts.back(), seq_len, spec.val_fraction);
    if (spec.val_fraction > 0.0)
      data.held_out.parts.push_back(
          {path.path, path.weight, std::move(sides.held_out), std::move(sides.files)});
  }
  if (!spec.val.empty()) {
    data.held_out = load_held_out(spec.val, tokenizer, end, vocab, spec.text, watch);
  } else if (spec.val_fraction > 0.0) {
    check_held_out_size(
        data.held_out,
        fmt::format("{} {}", setting_name(spec.text.names, "val_fraction"), spec.val_fraction));
  }
  return data;
}

Corpus load_corpus(const std::string& path, const Tokenizer& tokenizer, int64_t vocab,
                   const TextOptions& text, const std::string& separator) {
  return load_held_out(path, tokenizer, DocumentEnd(tokenizer, separator, text.names), vocab, text,
                       {});
}

std::vector<int64_t> token_counts(const Corpus& corpus) {
  constexpr int64_t kChunk = 1 << 16;
  std::vector<int64_t> counts(static_cast<size_t>(corpus.vocab), 0);
  std::vector<int32_t> ids;
  for (const CorpusPart& part : corpus.parts) {
    for (int64_t first = 0; first < part.tokens.size(); first += kChunk) {
      ids.resize(static_cast<size_t>(std::min(kChunk, part.tokens.size() - first)));
      part.tokens.read(first, ids, corpus.vocab);
      for (const int32_t id : ids) ++counts[static_cast<size_t>(id)];
    }
  }
  return counts;
}

}  // namespace troupe
