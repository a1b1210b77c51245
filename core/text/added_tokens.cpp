#include "core/text/added_tokens.h"

#include <algorithm>

#include "core/text/unicode.h"

namespace troupe {
namespace {

bool stands_alone(std::string_view before, std::string_view behind) {
  size_t length = 0;
  return (before.empty() || !is_word_character(last_character(before, length))) &&
         (behind.empty() || !is_word_character(first_character(behind, length)));
}

size_t white_space_before(std::string_view text) {
  const size_t size = text.size();
  size_t length = 0;
  while (!text.empty() && is_white_space(last_character(text, length))) text.remove_suffix(length);
  return size - text.size();
}

size_t white_space_behind(std::string_view text) {
  const size_t size = text.size();
  size_t length = 0;
  while (!text.empty() && is_white_space(first_character(text, length))) text.remove_prefix(length);
  return size - text.size();
}

bool is_cut(std::string_view text, size_t at) {
  return text[at] == ' ' && text[at - 1] > 0x20 && text[at - 1] < 0x7F;
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens) {
  for (const AddedToken& token : tokens) {
    by_first_byte_[static_cast<uint8_t>(token.content[0])].push_back(token);
    if (token.right_strip) strip_right_.push_back(token.content);
    empty_ = false;
    // An added token with a space inside could lie across any cut.
    for (size_t i = 1; i < token.content.size(); ++i)
      can_cut_ = can_cut_ && !is_cut(token.content, i);
  }
  for (auto& entries : by_first_byte_)
    std::stable_sort(entries.begin(), entries.end(), [](const AddedToken& a, const AddedToken& b) {
      return a.content.size() > b.content.size();
    });
}

const AddedToken* AddedTokens::match(std::string_view text) const {
  for (const AddedToken& token : by_first_byte_[static_cast<uint8_t>(text[0])])
    if (text.starts_with(token.content)) return &token;
  return nullptr;
}

void AddedTokens::split(std::string_view text, std::vector<int32_t>& ids,
                        const std::function<void(std::string_view)>& between) const {
  size_t begin = 0;
  for (size_t at = 0; !empty_ && at < text.size();) {
    const AddedToken* token = match(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t start = at;
    size_t stop = at + token->content.size();
    at = stop;  // the search goes on here, also behind a match that does not count
    if (token->single_word && !stands_alone(text.substr(0, start), text.substr(stop))) continue;
    if (token->left_strip)
      start = std::max(start - white_space_before(text.substr(0, start)), begin);
    if (token->right_strip) stop += white_space_behind(text.substr(stop));
    if (start > begin) between(text.substr(begin, start - begin));
    ids.push_back(token->id);
    begin = stop;
  }
  if (begin < text.size()) between(text.substr(begin));
}

bool AddedTokens::can_cut(std::string_view text, size_t at) const {
  if (!can_cut_ || !is_cut(text, at)) return false;
  return std::none_of(strip_right_.begin(), strip_right_.end(), [&](const std::string& content) {
    return text.substr(0, at).ends_with(content);
  });
}

}  // namespace troupe
