#include "launch/config/recorded_inputs.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "launch/config/record_lines.h"

namespace troupe {
namespace {

constexpr const char* kInput = "# Input ";

// "KEY: KIND HASH NAME"; the name may hold spaces.
std::optional<RecordedInput> parse(const std::string& line) {
  constexpr size_t kDigits = 16;
  const size_t colon = line.find(": ");
  if (colon == std::string::npos) return std::nullopt;
  const size_t kind = colon + 2;
  const size_t hash = line.find(' ', kind) + 1;
  if (hash == 0 || hash + kDigits + 1 > line.size() || line[hash + kDigits] != ' ') {
    return std::nullopt;
  }
  RecordedInput input{line.substr(0, colon), line.substr(kind, hash - 1 - kind), 0,
                      line.substr(hash + kDigits + 1)};
  const char* end = line.data() + hash + kDigits;
  if (std::from_chars(line.data() + hash, end, input.hash, 16).ptr != end) return std::nullopt;
  return input;
}

std::vector<RecordedInput> of_key(const std::vector<RecordedInput>& inputs,
                                  const std::string& key) {
  std::vector<RecordedInput> list;
  for (const RecordedInput& input : inputs) {
    if (input.key == key) list.push_back(input);
  }
  return list;
}

// Takes one with the same bytes, read as the same, out of the list.
bool take_same(std::vector<RecordedInput>& list, const RecordedInput& input) {
  const auto same = std::find_if(list.begin(), list.end(), [&](const RecordedInput& other) {
    return other.kind == input.kind && other.hash == input.hash;
  });
  if (same == list.end()) return false;
  list.erase(same);
  return true;
}

}  // namespace

std::string input_lines(const std::vector<RecordedInput>& inputs) {
  std::string lines;
  for (const RecordedInput& input : inputs) {
    lines +=
        fmt::format("{}{}: {} {:016x} {}\n", kInput, input.key, input.kind, input.hash, input.name);
  }
  return lines;
}

std::vector<RecordedInput> recorded_inputs(const std::string& text) {
  std::vector<RecordedInput> inputs;
  for (const std::string& line : record_lines(text, kInput)) {
    if (std::optional<RecordedInput> input = parse(line)) inputs.push_back(std::move(*input));
  }
  return inputs;
}

std::string unknown_inputs(const std::string& checkpoint) {
  return fmt::format(
      "{} was made before inputs had fingerprints: whether its texts and its tokenizer are still "
      "the "
      "same is not checked",
      checkpoint);
}

std::string shown(const RecordedInput& input) {
  return fmt::format("{} (fingerprint {:016x})", input.name, input.hash);
}

std::vector<InputChange> input_changes(const std::vector<RecordedInput>& before,
                                       const std::vector<RecordedInput>& after,
                                       const std::string& key) {
  std::vector<RecordedInput> gone = of_key(before, key);
  std::vector<RecordedInput> come = of_key(after, key);
  std::erase_if(come, [&](const RecordedInput& input) { return take_same(gone, input); });
  std::vector<InputChange> list;
  for (const RecordedInput& input : gone) {
    auto now = std::find_if(come.begin(), come.end(),
                            [&](const RecordedInput& other) { return other.name == input.name; });
    // A single file under another name.
    if (now == come.end() && gone.size() == 1 && come.size() == 1) now = come.begin();
    InputChange change{shown(input), "(absent)"};
    if (now != come.end()) {
      const bool other_kind = now->kind != input.kind;
      change.before += other_kind ? ", read as " + input.kind : "";
      change.after = shown(*now) + (other_kind ? ", read as " + now->kind : "");
      come.erase(now);
    }
    list.push_back(std::move(change));
  }
  for (const RecordedInput& input : come) list.push_back({"(absent)", shown(input)});
  return list;
}

}  // namespace troupe
