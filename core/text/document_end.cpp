#include "core/text/document_end.h"

#include "core/base/error.h"

namespace troupe {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string token_text(const Tokenizer& tokenizer) {
  return std::string(tokenizer.id_to_bytes(*tokenizer.end_of_text()));
}

}  // namespace

DocumentEnd::DocumentEnd(const Tokenizer& tokenizer, const std::string& separator,
                         SettingNames names) {
  if (const std::optional<int32_t> end = tokenizer.end_of_text()) {
    if (!separator.empty())
      fail(
          ExitCode::usage,
          "{0} is {1}, but the tokenizer ends documents with {2} ({3}): take {0} out, or write {4}",
          setting_name(names, "separator"), quoted(separator), token_text(tokenizer),
          tokenizer.end().origin, setting_name(names, "end_of_text", "none"));
    ids_ = {*end};
    return;
  }
  ids_ = tokenizer.encode(separator);
  is_separator_ = !ids_.empty();
}

std::string described_end(const Tokenizer& tokenizer, const std::string& separator) {
  if (tokenizer.end_of_text())
    return fmt::format("{} ({})", token_text(tokenizer), tokenizer.end().origin);
  return separator.empty() ? "nothing" : "separator " + quoted(separator);
}

std::string joined_documents(const Tokenizer& tokenizer, const std::string& separator,
                             int64_t documents, SettingNames names) {
  if (tokenizer.end_of_text() || !separator.empty() || documents < 2) return {};
  return fmt::format(
      "{} documents stand one behind the other with nothing between them, as the tokenizer has no "
      "end-of-text token: {} names one, {} (\"\\n\") puts a text there",
      documents, setting_name(names, "end_of_text"), setting_name(names, "separator"));
}

}  // namespace troupe
