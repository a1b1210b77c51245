// Options of one command, over Boost.Program_options: help text, unknown options with the nearest
// name, values with types. Every misuse is Error(usage).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe {

// What was given.
class Arguments {
 public:
  std::vector<std::string> positionals;

  bool flag(const std::string& name) const { return values_.count(name) != 0; }
  bool given(const std::string& name) const { return given_.count(name) != 0; }
  const std::string& text(const std::string& name) const;
  int64_t integer(const std::string& name, int64_t minimum, int64_t maximum = INT64_MAX) const;
  double real(const std::string& name, double minimum, double maximum) const;
  std::chrono::milliseconds duration(const std::string& name) const;

 private:
  friend class CommandLine;
  std::map<std::string, std::string> values_;  // defaults included
  std::map<std::string, bool> given_;
};

class CommandLine {
 public:
  // name: "check"; synopsis: "CONFIG [key=value...] [options]"; summary: one sentence.
  CommandLine(std::string name, std::string synopsis, std::string summary);

  // name: "json", or "ranks,n" with a short form.
  CommandLine& flag(const std::string& name, const std::string& help);
  // An empty value (--name= or --name "") is a misuse, unless may_be_empty() follows.
  CommandLine& option(const std::string& name, const std::string& value,
                      const std::string& default_value, const std::string& help);
  // For the option before it.
  CommandLine& may_be_empty();
  // Examples and notes, shown below the options.
  CommandLine& details(std::string text);
  CommandLine& positionals(size_t minimum, size_t maximum);
  // Words behind the first positional are taken as they are, options too ("launch ... train ...").
  CommandLine& rest_is_positional();

  // Nothing when --help was asked for (and printed to stdout).
  std::optional<Arguments> parse(std::span<const std::string> words) const;
  std::string help() const;
  std::string usage() const { return name_ + " " + synopsis_; }
  const std::string& summary() const { return summary_; }

 private:
  struct Option {
    std::string name;   // long
    std::string given;  // as declared: "ranks,n"
    std::string value;  // name of the value; empty for a flag
    std::string default_value;
    std::string help;
    bool may_be_empty = false;
  };
  std::string missing_operand(size_t given) const;
  [[noreturn]] void misuse(const std::string& text) const;
  void check_known(const std::string& word) const;
  std::vector<std::string> take_rest(std::vector<std::string>& own) const;
  // The long name for "--ranks" or "-n", behind which the value is a word of its own; empty for
  // other words.
  std::string option_before_value(const std::string& word) const;
  bool value_follows(const std::string& word) const { return !option_before_value(word).empty(); }
  // The name of the long option in "--ranks=3"; empty when the word is not of this form.
  std::string assigned_option(const std::string& word) const;

  std::string name_;
  std::string synopsis_;
  std::string summary_;
  std::string details_;
  std::vector<Option> options_;
  size_t minimum_ = 0;
  size_t maximum_ = SIZE_MAX;
  bool rest_is_positional_ = false;
};

// Splits "CONFIG key=value ..." into the file and the overrides. Throws Error(usage) when a second
// word has no '='.
struct ConfigWords {
  std::string file;
  std::vector<std::string> overrides;
};
ConfigWords config_words(const std::vector<std::string>& positionals);

}  // namespace troupe
