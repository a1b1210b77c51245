#include "launch/app/command_line.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <filesystem>
#include <type_traits>

#include "core/base/error.h"
#include "launch/app/output.h"
#include "launch/config/nearest.h"
#include "launch/config/scalar.h"

namespace troupe {
namespace {

namespace po = boost::program_options;

template <typename T>
T number(const std::string& option, const std::string& text, T minimum, T maximum) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = std::is_integral_v<T>;
  if (error == std::errc::result_out_of_range) {
    fail(ExitCode::usage, "--{} {}: out of range; must be {} to {}", option, text, minimum,
         maximum);
  }
  if (error != std::errc() || end != text.data() + text.size() || value != value) {
    fail(ExitCode::usage, "--{} {}: not a {}number", option, text, whole ? "whole " : "");
  }
  if (!(value >= minimum && value <= maximum)) {
    fail(ExitCode::usage, "--{} {}: must be {} to {}; nearest legal value: {}", option, text,
         minimum, maximum, value < minimum ? minimum : maximum);
  }
  return value;
}

}  // namespace

const std::string& Arguments::text(const std::string& name) const {
  const auto found = values_.find(name);
  require(found != values_.end(), "option --{} was read but never declared", name);
  return found->second;
}

int64_t Arguments::integer(const std::string& name, int64_t minimum, int64_t maximum) const {
  return number<int64_t>(name, text(name), minimum, maximum);
}

double Arguments::real(const std::string& name, double minimum, double maximum) const {
  return number<double>(name, text(name), minimum, maximum);
}

std::chrono::milliseconds Arguments::duration(const std::string& name) const {
  const Scalar<int64_t> value = parse_duration(text(name));
  if (const auto* why = std::get_if<std::string>(&value)) {
    fail(ExitCode::usage, "--{} {}: {}", name, text(name), *why);
  }
  return std::chrono::milliseconds(std::get<int64_t>(value));
}

CommandLine::CommandLine(std::string name, std::string synopsis, std::string summary)
    : name_(std::move(name)), synopsis_(std::move(synopsis)), summary_(std::move(summary)) {
  flag("help,h", "this text");
}

CommandLine& CommandLine::flag(const std::string& name, const std::string& help) {
  options_.push_back({name.substr(0, name.find(',')), name, "", "", help});
  return *this;
}

CommandLine& CommandLine::may_be_empty() {
  options_.back().may_be_empty = true;
  return *this;
}

CommandLine& CommandLine::option(const std::string& name, const std::string& value,
                                 const std::string& default_value, const std::string& help) {
  options_.push_back({name.substr(0, name.find(',')), name, value, default_value, help});
  return *this;
}

CommandLine& CommandLine::details(std::string text) {
  details_ = std::move(text);
  return *this;
}

CommandLine& CommandLine::positionals(size_t minimum, size_t maximum) {
  minimum_ = minimum;
  maximum_ = maximum;
  return *this;
}

CommandLine& CommandLine::rest_is_positional() {
  rest_is_positional_ = true;
  return *this;
}

void CommandLine::misuse(const std::string& text) const {
  fail(ExitCode::usage, "troupe {}: {}\nusage: troupe {}\n`troupe {} --help` says more", name_,
       text, usage(), name_);
}

void CommandLine::check_known(const std::string& word) const {
  if (word.size() < 2 || word[0] != '-') return;
  std::vector<std::string> names;
  const bool is_long = word[1] == '-';
  const std::string name =
      is_long ? word.substr(2, word.find('=') == std::string::npos ? word.npos : word.find('=') - 2)
              : word.substr(1, 1);
  for (const Option& option : options_) {
    names.push_back(option.name);
    const size_t comma = option.given.find(',');
    const std::string short_name =
        comma == std::string::npos ? std::string() : option.given.substr(comma + 1);
    if (name == (is_long ? option.name : short_name)) return;
  }
  if (!is_long && word.find_first_not_of("-0123456789.e") == std::string::npos) return;  // a number
  misuse(fmt::format("unknown option {}{}", word, did_you_mean(name, names, "--")));
}

std::string CommandLine::option_before_value(const std::string& word) const {
  for (const Option& option : options_) {
    const size_t comma = option.given.find(',');
    const bool same = word == "--" + option.name ||
                      (comma != std::string::npos && word == "-" + option.given.substr(comma + 1));
    if (same && !option.value.empty()) return option.name;
  }
  return {};
}

std::string CommandLine::assigned_option(const std::string& word) const {
  for (const Option& option : options_) {
    if (!option.value.empty() && word.rfind("--" + option.name + "=", 0) == 0) return option.name;
  }
  return {};
}

// Words from the first positional on, which belong to another command; they are taken off `own`.
std::vector<std::string> CommandLine::take_rest(std::vector<std::string>& own) const {
  size_t i = 0;
  while (i < own.size() && own[i].size() > 1 && own[i][0] == '-' && own[i] != "--") {
    check_known(own[i]);
    i += value_follows(own[i]) ? 2 : 1;
  }
  const size_t cut = std::min(i, own.size());
  std::vector<std::string> rest(own.begin() + static_cast<std::ptrdiff_t>(cut), own.end());
  own.resize(cut);
  if (!rest.empty() && rest.front() == "--") rest.erase(rest.begin());
  return rest;
}

std::optional<Arguments> CommandLine::parse(std::span<const std::string> words) const {
  po::options_description description;
  for (const Option& option : options_) {
    if (option.value.empty()) {
      description.add_options()(option.given.c_str(), po::bool_switch());
    } else {
      description.add_options()(option.given.c_str(), po::value<std::string>());
    }
  }
  std::vector<std::string> own(words.begin(), words.end());
  std::vector<std::string> rest;
  if (rest_is_positional_) rest = take_rest(own);
  po::variables_map map;
  std::vector<std::string> positionals;
  try {
    for (size_t i = 0; i < own.size() && own[i] != "--"; ++i) {
      check_known(own[i]);
      if (value_follows(own[i])) ++i;  // whatever it begins with
    }
    // Boost takes an empty value for a missing one, so values are taken off here.
    const auto with_value = [&](std::vector<std::string>& words_left) {
      std::vector<po::option> taken;
      const std::string word = words_left.front();
      if (const std::string name = assigned_option(word); !name.empty()) {
        taken.emplace_back(name, std::vector<std::string>{word.substr(name.size() + 3)});
        words_left.erase(words_left.begin());
      } else if (const std::string before = option_before_value(word);
                 !before.empty() && words_left.size() > 1) {
        taken.emplace_back(before, std::vector<std::string>{words_left[1]});
        words_left.erase(words_left.begin(), words_left.begin() + 2);
      }
      return taken;
    };
    const int style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::parsed_options parsed = po::command_line_parser(own)
                                          .options(description)
                                          .style(style)
                                          .extra_style_parser(with_value)
                                          .allow_unregistered()
                                          .run();
    positionals = po::collect_unrecognized(parsed.options, po::include_positional);
    po::store(parsed, map);
  } catch (const po::error& error) {
    misuse(error.what());
  }
  Arguments out;
  for (const Option& option : options_) {
    if (option.value.empty()) {
      if (map[option.name].as<bool>()) out.values_[option.name] = "true";
      continue;
    }
    const bool given = map.count(option.name) != 0;
    out.values_[option.name] = given ? map[option.name].as<std::string>() : option.default_value;
    if (given) out.given_[option.name] = true;
    if (given && out.values_[option.name].empty() && !option.may_be_empty) {
      misuse(fmt::format("--{} is empty; give {}", option.name, option.value));
    }
  }
  out.positionals = std::move(positionals);
  out.positionals.insert(out.positionals.end(), rest.begin(), rest.end());
  if (out.flag("help")) {
    output::print("{}", help());
    return std::nullopt;
  }
  if (out.positionals.size() < minimum_) misuse(missing_operand(out.positionals.size()));
  if (out.positionals.size() > maximum_) {
    misuse(fmt::format("unexpected '{}'", out.positionals[maximum_]));
  }
  return out;
}

// "CONFIG is missing": the operand of the synopsis behind those that are given.
std::string CommandLine::missing_operand(size_t given) const {
  std::string word;
  int depth = 0;
  for (const char c : synopsis_ + " ") {
    if (c == '[') ++depth;
    if (depth == 0 && c == ' ' && !word.empty()) {
      if (given-- == 0) return word + " is missing";
      word.clear();
    }
    if (depth == 0 && c != ' ') word += c;
    if (c == ']') --depth;
  }
  return "a word is missing";
}

std::string CommandLine::help() const {
  std::string text = fmt::format("usage: troupe {}\n\n{}\n\noptions:\n", usage(), summary_);
  for (const Option& option : options_) {
    const size_t comma = option.given.find(',');
    std::string left =
        comma == std::string::npos
            ? "      --" + option.name
            : fmt::format("  -{}, --{}", option.given.substr(comma + 1), option.name);
    if (!option.value.empty()) left += " " + option.value;
    text += fmt::format("{:<30} {}", left, option.help);
    if (!option.default_value.empty()) text += fmt::format(" (default {})", option.default_value);
    text += "\n";
  }
  if (!details_.empty()) text += "\n" + details_ + "\n";
  return text;
}

ConfigWords config_words(const std::vector<std::string>& positionals) {
  ConfigWords words;
  for (const std::string& word : positionals) {
    const bool assigns = word.find('=') != std::string::npos;
    std::error_code error;
    // The path of a file may hold a '=', too: runs/lr=0.1/config.resolved.yaml.
    if (words.file.empty() && (!assigns || std::filesystem::is_regular_file(word, error))) {
      words.file = word;
    } else if (assigns) {
      words.overrides.push_back(word);
    } else {
      fail(ExitCode::usage, "'{}' is neither the configuration ({}) nor KEY=VALUE", word,
           words.file);
    }
  }
  if (words.file.empty()) {
    fail(ExitCode::usage, "no configuration is named; give the path of a YAML file first");
  }
  return words;
}

}  // namespace troupe
