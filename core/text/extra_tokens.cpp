#include "core/text/extra_tokens.h"

#include "core/base/error.h"

namespace troupe {
namespace {

// Names that fill up vocabularies which fairseq made; texts never become them.
bool is_filler(std::string_view token) { return token.starts_with("madeupword"); }

void check_same(const ListedToken& listed, const AddedToken& known) {
  const AddedToken& token = listed.token;
  if (token.id == known.id && token.left_strip == known.left_strip &&
      token.right_strip == known.right_strip && token.single_word == known.single_word)
    return;
  fail(ExitCode::data,
       "{}: token \"{}\" has id {}{}, which does not agree with the vocabulary's own list (id {}); "
       "remove the entry that is wrong",
       listed.place, token.content, token.id,
       token.id == known.id ? " and other flags (lstrip, rstrip, single_word)" : "", known.id);
}

void add_part(const PartToken& part, BpeVocabulary& vocabulary) {
  if (part.token.content.empty()) return;
  if (vocabulary.added(part.token.content) != nullptr) {
    vocabulary.mark_special(part.token.content);
    return;
  }
  AddedToken token = part.token;
  const int32_t known = vocabulary.id_of(token.content);
  token.id = known >= 0 ? known : vocabulary.next_id();
  vocabulary.add_token(std::move(token), part.place);
}

}  // namespace

bool looks_special(std::string_view content) {
  constexpr std::string_view kWideBar = "\xEF\xBD\x9C";  // U+FF5C, DeepSeek's
  if (content.size() < 3) return false;
  const auto between = [&](std::string_view first, std::string_view last) {
    return content.starts_with(first) && content.ends_with(last);
  };
  return between("<", ">") || between("[", "]") || between(kWideBar, kWideBar);
}

void add_listed_tokens(const TokenizerSettings& settings, BpeVocabulary& vocabulary) {
  for (const ListedToken& listed : settings.listed) {
    if (const AddedToken* known = vocabulary.added(listed.token.content)) {
      check_same(listed, *known);
      continue;
    }
    AddedToken token = listed.token;
    token.special = token.special || looks_special(token.content);
    vocabulary.add_token(std::move(token), listed.place);
  }
}

void add_part_tokens(const TokenizerSettings& settings, BpeVocabulary& vocabulary) {
  for (const char* name : kTokenParts)
    for (const PartToken& part : settings.parts)
      if (part.part == name) add_part(part, vocabulary);
  for (const PartToken& other : settings.others) add_part(other, vocabulary);
}

void check_tokens_without_merges(BpeVocabulary& vocabulary, bool add_special,
                                 const std::string& vocab_place, const std::string& merges_place) {
  int64_t missing = 0;
  std::string first;
  for (const std::string& token : vocabulary.tokens_without_merges()) {
    if (looks_special(token)) {
      if (!add_special) continue;
      AddedToken added;
      added.id = vocabulary.id_of(token);
      added.content = token;
      added.special = true;
      vocabulary.add_token(std::move(added), vocab_place);
    } else if (!is_filler(token)) {
      if (++missing == 1) first = token;
    }
  }
  if (missing == 0) return;
  fail(
      ExitCode::data,
      "{}: no merge makes token \"{}\" (id {}){} of {}: the file is empty, cut short or of another "
      "vocabulary; give the merges that belong to it, or list tokens that stand for themselves in "
      "an added_tokens.json beside it",
      merges_place, first, vocabulary.id_of(first),
      missing > 1 ? fmt::format(" and {} more", missing - 1) : "", vocab_place);
}

}  // namespace troupe
