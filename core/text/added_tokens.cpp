#include "core/text/added_tokens.h"

#include <algorithm>

#include "core/text/byte_level_bpe.h"

namespace troupe {

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, bool normalized) {
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    by_first_byte_[static_cast<uint8_t>(token.content[0])].push_back({token.content, token.id});
    empty_ = false;
  }
  for (auto& entries : by_first_byte_)
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return a.content.size() > b.content.size();
    });
}

const AddedTokens::Entry* AddedTokens::match(std::string_view text) const {
  for (const Entry& entry : by_first_byte_[static_cast<uint8_t>(text[0])])
    if (text.starts_with(entry.content)) return &entry;
  return nullptr;
}

void AddedTokens::split(std::string_view text, std::vector<int32_t>& ids,
                        const std::function<void(std::string_view)>& between) const {
  size_t begin = 0;
  for (size_t at = 0; !empty_ && at < text.size();) {
    const Entry* entry = match(text.substr(at));
    if (entry == nullptr) {
      ++at;
      continue;
    }
    if (at > begin) between(text.substr(begin, at - begin));
    ids.push_back(entry->id);
    at += entry->content.size();
    begin = at;
  }
  if (begin < text.size()) between(text.substr(begin));
}

}  // namespace troupe
