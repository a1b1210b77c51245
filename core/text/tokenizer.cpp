#include "core/text/tokenizer.h"

#include <filesystem>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "core/text/bpe_files.h"
#include "core/text/byte_tokenizer.h"
#include "core/text/utf8.h"

namespace troupe {

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode(text, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += id_to_bytes(id);
  return text;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& source,
                                          const TokenizerOptions& options) {
  namespace fs = std::filesystem;
  if (source == "byte") {
    const std::string& end = options.end_of_text;
    if (end != "auto" && end != "none" && end != "by_name")
      fail(ExitCode::data,
           "{} is \"{}\", but the byte tokenizer has no special tokens; {} can stand between rows",
           setting_name(options.names, "end_of_text"), end,
           setting_name(options.names, "separator"));
    return make_byte_tokenizer();
  }
  std::error_code error;
  const fs::file_status status = fs::status(source, error);
  if (status.type() == fs::file_type::directory) return load_bpe_folder(source, options);
  if (!fs::exists(status) || source.empty())
    fail(
        ExitCode::data,
        "tokenizer \"{}\" {}: give `byte`, a folder with GPT-2's vocab.json and merges.txt, or the "
        "path of a tokenizer.json",
        source, why_absent(source));
  if (status.type() != fs::file_type::regular || fs::path(source).extension() != ".json")
    fail(ExitCode::data,
         "tokenizer {}: is neither a folder nor a .json file; give `byte`, a folder with GPT-2's "
         "vocab.json and merges.txt, or the path of a tokenizer.json",
         source);
  return load_tokenizer_json(source, options);
}

void encode_in_pieces(const Tokenizer& tokenizer, std::string_view text,
                      const std::function<void(std::span<const int32_t>, size_t)>& take) {
  constexpr size_t kPiece = size_t{4} << 20;
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const size_t cut = tokenizer.safe_cut(text, kPiece);
    ids.clear();
    tokenizer.encode(text.substr(0, cut), ids);
    take(ids, cut);
    text.remove_prefix(cut);
  }
}

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (!step.complete) break;
    if (step.valid) {
      out += rest.substr(0, step.length);
    } else {
      out += "\xEF\xBF\xBD";
    }
    rest.remove_prefix(step.length);
  }
  pending_ = std::string(rest);
  return out;
}

std::string Utf8Stream::finish() {
  const bool cut = !pending_.empty();
  pending_.clear();
  return cut ? "\xEF\xBF\xBD" : "";
}

}  // namespace troupe
