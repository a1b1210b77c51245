// From which bytes a run learned: the fingerprints of its texts and its tokenizer, a comment line
// each at the beginning of a stored configuration.
//
//   # Input data.train: text 0123456789abcdef text.txt
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

// The name only tells the files of one key apart for a reader; what counts is what a file is read
// as and the hash of its bytes.
struct RecordedInput {
  std::string key;   // "data.tokenizer", "data.train[0].path"
  std::string kind;  // what it is read as: "tokenizer" (a line for each of its files), "text", ...
  uint64_t hash = 0;
  std::string name;  // as YAML writes it
  bool operator==(const RecordedInput& other) const = default;
};

std::string input_lines(const std::vector<RecordedInput>& inputs);
// Those of a stored configuration. Empty when it was stored before there were any.
std::vector<RecordedInput> recorded_inputs(const std::string& text);

// Says that a checkpoint has no fingerprints.
std::string unknown_inputs(const std::string& checkpoint);

// "text.txt (fingerprint 0123456789abcdef)".
std::string shown(const RecordedInput& input);

// One file that is not what it was; "(absent)" where there was or is none.
struct InputChange {
  std::string before;
  std::string after;
};
// What differs between the inputs of one key. Equal bytes under other names are equal.
std::vector<InputChange> input_changes(const std::vector<RecordedInput>& before,
                                       const std::vector<RecordedInput>& after,
                                       const std::string& key);

}  // namespace troupe
