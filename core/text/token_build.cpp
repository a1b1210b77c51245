#include "core/text/token_build.h"

#include <xxhash.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/text/document_end.h"
#include "core/text/mapped_file.h"
#include "core/text/piece_encoder.h"
#include "core/text/text_source.h"
#include "core/text/token_index_layout.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

TokenType type_for(int64_t vocab) {
  return vocab <= 256 ? TokenType::u8 : vocab <= 65536 ? TokenType::u16 : TokenType::i32;
}

}  // namespace

// Only a pair of token files may be replaced.
void prepare_target(const std::string& prefix) {
  std::error_code error;
  if (prefix.empty() || prefix.back() == '/' || fs::is_directory(prefix, error))
    fail(ExitCode::usage,
         "\"{}\" is not the prefix of a file: give DIR/NAME, which makes "
         "DIR/NAME.bin and DIR/NAME.idx",
         prefix);
  bool known = false;
  // One that is not yet in its place: the build was ended between its last steps.
  for (const char* extension : {".idx", ".idx.tmp"}) {
    if (known || !fs::is_regular_file(prefix + extension, error)) continue;
    const MappedFile idx(prefix + extension);
    known = idx.bytes().starts_with(std::string_view(kIndexMagic, sizeof kIndexMagic));
  }
  for (const char* extension : {".idx", ".bin", ".meta.json"})
    if (!known && fs::exists(prefix + extension, error))
      fail(ExitCode::usage,
           "{}{} exists and does not belong to a token file: choose another prefix, or remove it",
           prefix, extension);
  const fs::path folder = fs::path(prefix).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, error)) {
    fs::create_directories(folder, error);
    if (error) fail(ExitCode::resource, "{}: cannot be made: {}", folder.string(), error.message());
  }
}

BuildResult build_token_file(const BuildRequest& request, const Tokenizer& tokenizer,
                             const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<TextSource> sources;
  int64_t total = 0;
  for (const std::string& input : request.inputs) {
    sources.emplace_back(input, request.text);
    total += sources.back().bytes();
  }
  prepare_target(request.prefix);
  BuildResult result;
  result.removed = remove_left_over(request.prefix);
  result.type = type_for(tokenizer.vocab_size());
  TokenFileWriter writer(request.prefix, result.type);
  const DocumentEnd end(tokenizer, request.separator, request.text.names);
  TokenFileOrigin origin;
  int64_t before = 0;  // bytes of the sources that are done
  int64_t done = 0;
  PieceEncoder encoder(tokenizer, [&](std::span<const int32_t> ids) {
    writer.add(ids);
    progress(done, total);
  });
  for (const TextSource& source : sources) {
    int64_t size = 0;  // of the open document's text
    const TextReport report = source.visit([&](const TextPiece& piece) {
      encoder.add(piece.text);
      size += static_cast<int64_t>(piece.text.size());
      done = before + piece.done;
      if (!piece.last) return;
      encoder.finish();
      result.bytes += size;
      if (size == 0) {
        ++result.empty;
        return;
      }
      if (piece.marked) {
        writer.add(end.ids());
        result.joined += end.ids().empty() ? 1 : 0;
      } else if (end.is_separator()) {
        origin.unmarked.push_back(result.documents);
      }
      writer.end_document();
      ++result.documents;
      size = 0;
    });
    say_what_was_met(source, report);
    result.report.add(report);
    before += source.bytes();
    progress(before, total);
  }
  result.tokens = writer.tokens();
  if (result.tokens == 0)
    fail(ExitCode::data, "the inputs hold no text{}; {} was not written",
         result.report.skipped_rows > 0
             ? fmt::format(" besides {} bad rows, the first of them {}", result.report.skipped_rows,
                           result.report.skipped.front())
             : "",
         request.prefix);
  origin.tokenizer = request.tokenizer_name;
  origin.fingerprint = tokenizer.fingerprint();
  origin.vocab = tokenizer.vocab_size();
  origin.skipped_rows = result.report.skipped_rows;
  origin.end_of_text =
      tokenizer.end_of_text() ? tokenizer.id_to_bytes(*tokenizer.end_of_text()) : "none";
  origin.separator = request.separator;
  origin.separator_tokens = end.is_separator() ? static_cast<int64_t>(end.ids().size()) : 0;
  writer.finish(origin);
  return result;
}

VerifyResult verify_token_file(const std::string& prefix, const Tokenizer* tokenizer) {
  const TokenFile file = open_token_file(prefix);
  VerifyResult result;
  result.index = file.index;
  result.origin = read_token_file_origin(prefix);
  if (result.origin) {
    const TokenFileOrigin& origin = *result.origin;
    if (origin.tokens != file.index.tokens)
      fail(ExitCode::data,
           "{}.meta.json describes {} tokens, {}.bin has {}: the files do not belong "
           "together",
           prefix, origin.tokens, prefix, file.index.tokens);
    const MappedFile bin(prefix + ".bin");
    if (XXH3_64bits(bin.bytes().data(), bin.bytes().size()) != origin.bin_hash)
      fail(ExitCode::data, "{}.bin: its bytes have changed since it was built (the hash differs)",
           prefix);
    result.hash_checked = true;
    if (tokenizer != nullptr && tokenizer->fingerprint() != origin.fingerprint)
      fail(ExitCode::data, "{}: was made with another tokenizer ({}) than the one given ({})",
           prefix, origin.tokenizer, tokenizer->description());
    result.vocab = origin.vocab;
  }
  if (tokenizer != nullptr) result.vocab = tokenizer->vocab_size();
  constexpr int64_t kChunk = 1 << 16;
  std::vector<int32_t> ids;
  for (int64_t first = 0; first < file.tokens.size(); first += kChunk) {
    ids.resize(static_cast<size_t>(std::min(kChunk, file.tokens.size() - first)));
    file.tokens.read(first, ids, result.vocab > 0 ? result.vocab : int64_t{1} << 31);
    result.largest_id = std::max(result.largest_id, *std::max_element(ids.begin(), ids.end()));
  }
  return result;
}

}  // namespace troupe
