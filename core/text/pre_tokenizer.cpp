#include "core/text/pre_tokenizer.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/error.h"
#include "core/text/json_member.h"

namespace troupe {
namespace {

using nlohmann::json;

std::string type_of(const json& step) { return text_of(member(step, "type"), "null"); }

// A step, or the steps of a Sequence and of those inside it.
void append_steps(const json& step, const char* list, std::vector<json>& steps) {
  if (type_of(step) != "Sequence") {
    if (!step.is_null()) steps.push_back(step);
    return;
  }
  for (const json& inner : member(step, list)) append_steps(inner, list, steps);
}

std::string types_of(const std::vector<json>& steps) {
  std::string types;
  for (const json& step : steps) types += (types.empty() ? "" : ", ") + type_of(step);
  return types.empty() ? "null" : types;
}

void check_byte_level(const json& step, const std::string& place) {
  if (flag(step, "add_prefix_space", true, place))
    refuse_tokenizer(place,
                     "its pre_tokenizer adds a space in front (add_prefix_space); set it to false "
                     "if texts are to be tokenised as they are");
}

// A pattern that covers every character leaves nothing between its matches, so these keep the
// matches as the pieces: Isolated, and Removed of what does not match.
SplitKind read_split(const json& split, const std::string& place) {
  const std::string behavior = text_of(member(split, "behavior"));
  const bool invert = flag(split, "invert", false, place);
  if (behavior != "Isolated" && !(behavior == "Removed" && invert))
    refuse_tokenizer(place,
                     fmt::format("its Split has behavior {}{} (not Isolated, or Removed with "
                                 "invert)",
                                 behavior.empty() ? "null" : behavior, invert ? ", invert" : ""));
  const json& pattern = member(member(split, "pattern"), "Regex");
  const auto kind = split_kind_of(text_of(pattern));
  if (!kind)
    refuse_tokenizer(place, "its split pattern is not known: " + text_of(pattern, "not a Regex"));
  return *kind;
}

}  // namespace

void refuse_tokenizer(const std::string& place, const std::string& what) {
  fail(ExitCode::data,
       "{}: {}; supported is byte-level BPE with the split pattern of GPT-2, of cl100k (Llama-3) "
       "or of Qwen2, as the text is or in NFC",
       place, what);
}

bool read_normalizer(const json& root, const std::string& place) {
  std::vector<json> steps;
  append_steps(member(root, "normalizer"), "normalizers", steps);
  for (const json& step : steps)
    if (type_of(step) != "NFC") refuse_tokenizer(place, "its normalizer is " + types_of(steps));
  return !steps.empty();
}

SplitKind read_pre_tokenizer(const json& root, const std::string& place) {
  std::vector<json> steps;
  append_steps(member(root, "pre_tokenizer"), "pretokenizers", steps);
  if (steps.size() == 1 && type_of(steps[0]) == "ByteLevel") {
    check_byte_level(steps[0], place);
    if (!flag(steps[0], "use_regex", true, place))
      refuse_tokenizer(place, "its pre_tokenizer does not split (use_regex false)");
    return SplitKind::gpt2;
  }
  if (steps.size() != 2 || type_of(steps[0]) != "Split" || type_of(steps[1]) != "ByteLevel")
    refuse_tokenizer(place, "its pre_tokenizer is " + types_of(steps));
  const SplitKind kind = read_split(steps[0], place);
  check_byte_level(steps[1], place);
  if (flag(steps[1], "use_regex", true, place))
    refuse_tokenizer(place, "its pre_tokenizer splits twice (use_regex behind a Split)");
  return kind;
}

}  // namespace troupe
