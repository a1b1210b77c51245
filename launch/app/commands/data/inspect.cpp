// troupe data inspect PREFIX|TEXT [options]
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/document_end.h"
#include "core/text/json_text.h"
#include "core/text/text_source.h"
#include "core/text/utf8.h"
#include "launch/app/commands/data/parts.h"
#include "launch/app/output.h"
#include "launch/app/text_arguments.h"

namespace troupe {
namespace {

using nlohmann::ordered_json;

// The tokenizer that is given, or the one that made the pair if it can still be loaded.
std::unique_ptr<Tokenizer> tokenizer_for(const Arguments& arguments,
                                         const std::optional<TokenFileOrigin>& origin,
                                         const std::string& prefix) {
  const std::string given = arguments.text("tokenizer");
  std::unique_ptr<Tokenizer> tokenizer;
  if (!given.empty()) {
    tokenizer = load_for(origin, given, prefix);
  } else if (origin) {
    try {
      tokenizer = load_tokenizer(origin->tokenizer, options_of(origin));
    } catch (const Error& error) {
      log::warning("ids only, as the tokenizer that made {} cannot be loaded: {}", prefix,
                   error.what());
      return nullptr;
    }
  }
  if (tokenizer && origin && tokenizer->fingerprint() != origin->fingerprint)
    fail(ExitCode::data, "{}: was made with another tokenizer ({}, as it was then) than {} ({})",
         prefix, origin->tokenizer, given.empty() ? origin->tokenizer : given,
         tokenizer->description());
  return tokenizer;
}

// The text of a token for the eye: control characters and what is no UTF-8 as escapes.
std::string shown(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    const auto byte = static_cast<uint8_t>(bytes[0]);
    if (bytes[0] == '\n') {
      out += "\\n";
    } else if (bytes[0] == '\t') {
      out += "\\t";
    } else if (!step.valid || byte < 0x20 || byte == 0x7F) {
      for (const char c : bytes.substr(0, step.length))
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    } else {
      out += bytes.substr(0, step.length);
    }
    bytes.remove_prefix(step.length);
  }
  return out;
}

struct Sample {
  int64_t document = 0;
  int64_t first = 0;
  int64_t tokens = 0;  // of the whole document
  std::vector<int32_t> ids;
};

// The beginnings of documents spread evenly over the file.
std::vector<Sample> samples_of(const TokenFile& file, int64_t count, int64_t length) {
  const auto starts = file.tokens.document_starts();
  const auto documents = static_cast<int64_t>(starts.size());
  count = std::min(count, documents);
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    sample.document = i * documents / count;
    const auto index = static_cast<size_t>(sample.document);
    sample.first = starts[index];
    sample.tokens =
        (index + 1 < starts.size() ? starts[index + 1] : file.tokens.size()) - sample.first;
    sample.ids.resize(static_cast<size_t>(std::min(length, sample.tokens)));
    file.tokens.read(sample.first, sample.ids, int64_t{1} << 31);
    samples.push_back(std::move(sample));
  }
  return samples;
}

void check_ids_of(const Sample& sample, const Tokenizer& tokenizer, const std::string& prefix) {
  for (const int32_t id : sample.ids)
    if (id >= tokenizer.vocab_size())
      fail(ExitCode::data, "{}.bin: document {} has id {}, outside the vocabulary [0, {})", prefix,
           sample.document, id, tokenizer.vocab_size());
}

void print_sample(const Sample& sample, const Tokenizer* tokenizer) {
  const auto size = static_cast<int64_t>(sample.ids.size());
  output::print("\ndocument {} begins at token {}: {} tokens{}\n", sample.document, sample.first,
                sample.tokens, size < sample.tokens ? fmt::format(", the first {} are", size) : "");
  std::string pieces = "  text ";
  std::string ids = "  ids  ";
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (i > 0) pieces += '|';
    if (tokenizer != nullptr) pieces += shown(tokenizer->id_to_bytes(sample.ids[i]));
    ids += fmt::format("{}{}", i > 0 ? " " : "", sample.ids[i]);
  }
  if (tokenizer != nullptr) output::print("{}\n", pieces);
  output::print("{}\n", ids);
}

// A file or folder of text, not a pair.
bool names_text(const std::string& path) {
  std::error_code error;
  if (path.ends_with(".idx") || path.ends_with(".bin") || is_token_file(path)) return false;
  return std::filesystem::exists(path, error);
}

// What a text would be taken for, and how much of it there is.
int inspect_text(const Arguments& arguments) {
  const TextSource source(arguments.positionals[0], text_options(arguments));
  int64_t documents = 0;
  int64_t bytes = 0;
  const TextReport report = source.visit([&](const TextPiece& piece) {
    documents += piece.last ? 1 : 0;
    bytes += static_cast<int64_t>(piece.text.size());
  });
  if (arguments.flag("json")) {
    const ordered_json json = {{"path", source.path()},
                               {"holds", source.description()},
                               {"files", source.files().size()},
                               {"left_out", source.left_out()},
                               {"bytes_on_disk", source.bytes()},
                               {"documents", documents},
                               {"bytes", bytes},
                               {"invalid_utf8_bytes", report.invalid_bytes}};
    output::print("{}\n", json_text(json));
    return 0;
  }
  output::print("{}: {}, {} documents with {} bytes of text, {} bytes on disk; not tokenised yet\n",
                source.path(), source.description(), documents, bytes, source.bytes());
  say_what_was_met(source, report);
  return 0;
}

}  // namespace

int data_inspect(const Arguments& arguments) {
  if (names_text(arguments.positionals[0])) return inspect_text(arguments);
  const std::string prefix = pair_prefix(arguments);
  const TokenFile file = open_token_file(prefix);
  const auto origin = read_token_file_origin(prefix);
  const auto tokenizer = tokenizer_for(arguments, origin, prefix);
  const std::string separator = origin ? origin->separator : "";
  const std::vector<Sample> samples =
      samples_of(file, arguments.integer("samples", 0), arguments.integer("tokens", 0));
  if (tokenizer)
    for (const Sample& sample : samples) check_ids_of(sample, *tokenizer, prefix);
  if (arguments.flag("json")) {
    ordered_json json = {{"prefix", prefix},
                         {"type", name(file.index.type)},
                         {"tokens", file.index.tokens},
                         {"documents", file.index.documents},
                         {"sequences", file.index.sequences}};
    if (origin) json["tokenizer"] = origin->tokenizer;
    if (tokenizer) json["end_of_text"] = described_end(*tokenizer, separator);
    json["samples"] = ordered_json::array();
    for (const Sample& sample : samples) {
      ordered_json entry = {{"document", sample.document},
                            {"first", sample.first},
                            {"tokens", sample.tokens},
                            {"ids", sample.ids}};
      if (tokenizer) entry["text"] = utf8_replaced(tokenizer->decode(sample.ids));
      json["samples"].push_back(entry);
    }
    output::print("{}\n", json_text(json));
    return 0;
  }
  output::print("{}: {} tokens ({}) in {} documents ({} sequences), tokenizer {}\n", prefix,
                file.index.tokens, name(file.index.type), file.index.documents,
                file.index.sequences, origin ? origin->tokenizer : "not recorded");
  if (tokenizer)
    output::print("behind each document of several: {}\n", described_end(*tokenizer, separator));
  for (const Sample& sample : samples) print_sample(sample, tokenizer.get());
  return 0;
}

}  // namespace troupe
