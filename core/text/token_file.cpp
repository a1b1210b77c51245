#include "core/text/token_file.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/byte_escape.h"
#include "core/text/mapped_file.h"
#include "core/text/raw_tokens.h"

namespace troupe {

bool is_token_file(const std::string& prefix) {
  std::error_code error;
  return std::filesystem::exists(prefix + ".idx", error) ||
         std::filesystem::exists(prefix + ".bin", error);
}

TokenFile open_token_file(const std::string& prefix) {
  std::error_code error;
  if (!std::filesystem::exists(prefix + ".idx", error) && !error)
    fail(ExitCode::data,
         "{}.bin: has no {}.idx beside it. {}: `troupe data build {}.bin` makes a pair of them",
         prefix, prefix,
         is_llm_c_file(prefix + ".bin")
             ? "These are token ids as llm.c writes them"
             : "If these are bare token ids, as nanoGPT writes them (u16)",
         prefix);
  const MappedFile idx(prefix + ".idx");
  const MappedFile bin(prefix + ".bin");
  TokenFile file;
  file.index =
      parse_token_index(idx.bytes(), static_cast<int64_t>(bin.bytes().size()), prefix + ".idx");
  file.tokens =
      TokenStream(bin.owner(), reinterpret_cast<const std::byte*>(bin.bytes().data()),
                  file.index.type, file.index.tokens, file.index.document_starts, prefix + ".bin");
  return file;
}

std::optional<TokenFileOrigin> read_token_file_origin(const std::string& prefix) {
  const std::string path = prefix + ".meta.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  const MappedFile file(path);
  try {
    const auto json = nlohmann::json::parse(file.bytes());
    TokenFileOrigin origin;
    const auto tokenizer = json.at("tokenizer").get<std::string>();
    origin.tokenizer = unescape_bytes(tokenizer).value_or(tokenizer);
    origin.fingerprint = std::stoull(json.at("fingerprint").get<std::string>(), nullptr, 16);
    origin.vocab = json.at("vocab").get<int64_t>();
    origin.tokens = json.at("tokens").get<int64_t>();
    origin.bin_hash = std::stoull(json.at("bin_xxh3").get<std::string>(), nullptr, 16);
    origin.skipped_rows = json.value("skipped_rows", int64_t{0});
    if (json.contains("end_of_text")) origin.end_of_text = json["end_of_text"].get<std::string>();
    if (json.contains("separator")) {
      origin.separator = json["separator"].get<std::string>();
      origin.separator_tokens = json.at("separator_tokens").get<int64_t>();
      origin.unmarked = json.at("unmarked").get<std::vector<int64_t>>();
    }
    return origin;
  } catch (const std::exception& cause) {
    fail(ExitCode::data, "{}: is damaged ({}); remove it or build the data again", path,
         cause.what());
  }
}

void mark_separators(const TokenFileOrigin& origin, TokenStream& tokens) {
  if (origin.separator_tokens <= 0) return;
  const std::span<const int64_t> starts = tokens.document_starts();
  std::vector<int64_t> endings;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t end = i + 1 < starts.size() ? starts[i + 1] : tokens.size();
    const int64_t start = end - origin.separator_tokens;
    if (start >= starts[i] && !std::binary_search(origin.unmarked.begin(), origin.unmarked.end(),
                                                  static_cast<int64_t>(i)))
      endings.push_back(start);
  }
  tokens.mark_endings(std::move(endings), origin.separator_tokens);
}

}  // namespace troupe
