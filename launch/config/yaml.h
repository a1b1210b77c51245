// A strict, small YAML tree with positions, read through yaml-cpp's events. What yaml-cpp would
// take silently is refused here: second documents, tabs as indentation, control characters,
// recursive aliases, and more than the limits below. Keys keep their order and duplicates stay
// visible, so that the reader can report them with all other problems.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/config/problem.h"

namespace troupe {

constexpr size_t kMaxYamlBytes = size_t{1} << 20;
constexpr int kMaxYamlDepth = 32;
constexpr int kMaxYamlNodes = 20000;  // an alias counts as often as it is used

struct YamlNode {
  enum class Kind : uint8_t { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  std::string text;     // of a scalar
  bool quoted = false;  // a scalar in quotes or a block scalar: always text
  std::string tag;      // an explicit tag ("!!str"); empty without one
  SourceLocation place;
  std::vector<std::string> keys;  // of a mapping, in order, duplicates kept
  std::vector<SourceLocation> key_places;
  std::vector<YamlNode> items;  // values of a mapping, elements of a sequence

  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_mapping() const { return kind == Kind::mapping; }
  bool is_sequence() const { return kind == Kind::sequence; }
  bool is_null() const { return kind == Kind::null; }
  // The first value of this key; null when it is absent.
  const YamlNode* find(std::string_view key) const;
  YamlNode* find(std::string_view key);
};

// Parses one document. source: where the text comes from (positions are kept only for files).
// Throws YamlError at the first thing that cannot be read.
YamlNode parse_yaml(const std::string& text, Source source);

// Throws YamlError where the text is not UTF-8, which yaml-cpp would change silently.
void check_utf8(const std::string& text, Source source);

// The one problem that ends parsing.
class YamlError : public std::exception {
 public:
  explicit YamlError(Problem problem) : problem_(std::move(problem)) {}
  const Problem& problem() const { return problem_; }
  const char* what() const noexcept override { return problem_.rule.c_str(); }

 private:
  Problem problem_;
};

// The node in YAML flow syntax, cut to about 60 characters: for messages.
std::string brief(const YamlNode& node);

}  // namespace troupe
