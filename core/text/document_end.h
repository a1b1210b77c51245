// What stands behind a document that is one of several (a row, a file of a folder): the tokenizer's
// end-of-text token, or for a tokenizer without one the separator of data.separator, or nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/text/tokenizer.h"

namespace troupe {

class DocumentEnd {
 public:
  // A separator although the tokenizer has an end-of-text token: ExitCode::usage.
  DocumentEnd(const Tokenizer& tokenizer, const std::string& separator,
              SettingNames names = bare_setting_names);
  // The ids behind a document; may be none.
  std::span<const int32_t> ids() const { return ids_; }
  // They are those of a separator: ordinary tokens, but no part of the text.
  bool is_separator() const { return is_separator_; }

 private:
  std::vector<int32_t> ids_;
  bool is_separator_ = false;
};

// "<|endoftext|> (its name)", "separator \"\\n\"", "nothing": what stands behind documents.
std::string described_end(const Tokenizer& tokenizer, const std::string& separator = {});

// The sentence to say once when `documents` stand one behind the other with nothing between them;
// empty when that is not so.
std::string joined_documents(const Tokenizer& tokenizer, const std::string& separator,
                             int64_t documents, SettingNames names = bare_setting_names);

}  // namespace troupe
