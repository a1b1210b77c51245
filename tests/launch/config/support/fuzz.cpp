#include "tests/launch/config/support/fuzz.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "core/base/error.h"
#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "launch/config/schema.h"
#include "launch/config/yaml.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using Generator = std::mt19937_64;

size_t below(Generator& random, size_t n) { return n == 0 ? 0 : random() % n; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Values that are special somewhere.
std::string value(Generator& random) {
  static const std::vector<std::string> values{"0",
                                               "1",
                                               "-1",
                                               "2",
                                               "3",
                                               "64k",
                                               "1_000",
                                               "1e6",
                                               "1e-3",
                                               "010",
                                               "0x10",
                                               ".inf",
                                               ".nan",
                                               "9223372036854775807",
                                               "99999999999999999999",
                                               "1e308",
                                               "true",
                                               "no",
                                               "none",
                                               "auto",
                                               "all",
                                               "null",
                                               "~",
                                               "''",
                                               "\"a\\tb\"",
                                               "[]",
                                               "{}",
                                               "[1, 2]",
                                               "[0, 1, 2, 3]",
                                               "{a: 1}",
                                               "same",
                                               "topk",
                                               "switch",
                                               "st_moe",
                                               "hash",
                                               "expert_choice",
                                               "sgd",
                                               "adamw",
                                               "wsd",
                                               "cosine",
                                               "bf16",
                                               "f64",
                                               "10m",
                                               "600",
                                               "8s",
                                               "z",
                                               "importance",
                                               "load",
                                               "sequence",
                                               "microbatch",
                                               "learned",
                                               "*x",
                                               "&x 1",
                                               "!!int 3",
                                               "!t",
                                               "|",
                                               ">-",
                                               "- 1",
                                               "? 1",
                                               "%",
                                               "@",
                                               "`",
                                               "\xc3\xa9",
                                               "{across: batch, sequences: 2}",
                                               "[{type: z, coef: 0.1}]",
                                               "../x.txt",
                                               "a b: c"};
  return values[below(random, values.size())];
}

std::string key(Generator& random) {
  static const std::vector<std::string> paths = schema_paths();
  const std::string& path = paths[below(random, paths.size())];
  return path.substr(path.rfind('.') + 1);
}

// What shells and people make of quotes, lists and comments on a command line.
std::string value_of_shells(Generator& random) {
  static const std::vector<std::string> values{
      "[1, 2",        "{a: 1",         "\"a\" b",   "'it''s' x",
      "\"a \\\" b",   "'a \\ b",       "'\"",       "\"a'b\\",
      "['a #b', #c]", "[\"a\\\" #\"]", "{a: b #c}", "'a''b'",
      "\"a\"",        "a #b",          "[]]",       "!"};
  return values[below(random, values.size())];
}

// For the command line: mostly sound.
std::string assignment(Generator& random) {
  static const std::vector<std::string> paths = schema_paths();
  std::string path = paths[below(random, paths.size())];
  while (path.find("[]") != std::string::npos) {
    path.replace(path.find("[]"), 2, "[" + std::to_string(below(random, 3)) + "]");
  }
  const size_t kind = below(random, 12);
  if (kind == 0) path += "." + key(random);
  if (kind == 1) path = key(random);
  if (kind == 2) path.insert(below(random, path.size()), ".");
  if (kind == 3) return path;
  if (kind == 4) return path + "=" + value_of_shells(random);
  return path + "=" + value(random);
}

void change_value(std::string& line, Generator& random) {
  const size_t colon = line.find(": ");
  if (colon != std::string::npos) line = line.substr(0, colon + 2) + value(random);
}

void change_lines(std::vector<std::string>& lines, const std::vector<std::string>& others,
                  Generator& random) {
  if (lines.empty()) return;
  const size_t at = below(random, lines.size());
  switch (below(random, 9)) {
    case 0:
      lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    case 1:
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(below(random, lines.size())),
                   lines[at]);
      return;
    case 2:
      std::swap(lines[at], lines[below(random, lines.size())]);
      return;
    case 3:
      lines[at] = std::string(below(random, 6), ' ') + lines[at];
      return;
    case 4: {
      const size_t indent = lines[at].find_first_not_of(' ');
      const std::string space(indent == std::string::npos ? 0 : indent, ' ');
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at),
                   space + key(random) + ": " + value(random));
      return;
    }
    case 5:
      if (!others.empty()) lines[at] = others[below(random, others.size())];
      return;
    default:
      change_value(lines[at], random);
  }
}

void change_text(std::string& text, Generator& random) {
  if (text.empty()) return;
  const size_t at = below(random, text.size());
  switch (below(random, 7)) {
    case 0:
      text[at] = static_cast<char>(random());
      return;
    case 1:
      text.erase(at, 1 + below(random, 20));
      return;
    case 2:
      text.insert(at, value(random));
      return;
    case 3: {
      const size_t depth = below(random, 2000);
      text.insert(at, std::string(depth, '[') + std::string(depth, ']'));
      return;
    }
    case 4:
      text.insert(at, text.substr(below(random, text.size()), below(random, 200)));
      return;
    case 5: {
      const std::string piece = text.substr(at, 1 + below(random, 40));
      for (size_t i = below(random, 500); i > 0; --i) text.insert(at, piece);
      return;
    }
    default:
      text.resize(at);
  }
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds{kSound};
  for (const char* folder : {"configs", "tests/launch/config/golden"}) {
    std::vector<fs::path> files;
    for (const auto& file :
         fs::recursive_directory_iterator(fs::path(TROUPE_SOURCE_DIR) / folder)) {
      if (file.path().extension() == ".yaml") files.push_back(file.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& path : files) {
      std::ifstream stream(path, std::ios::binary);
      std::ostringstream text;
      text << stream.rdbuf();
      // Sound files count threefold: most cases should get past the first check.
      const bool sound = std::string(folder) == "configs";
      for (int i = 0; i < (sound ? 3 : 1); ++i) seeds.push_back(text.str());
    }
  }
  return seeds;
}

FuzzCase fuzz_case(const std::vector<std::string>& seeds, uint64_t number) {
  Generator random(number * 0x9e3779b97f4a7c15U + 1);
  std::vector<std::string> lines = lines_of(seeds[below(random, seeds.size())]);
  const std::vector<std::string> others = lines_of(seeds[below(random, seeds.size())]);
  const size_t changes = 1 + below(random, 4);
  for (size_t i = 0; i < changes; ++i) change_lines(lines, others, random);
  std::string text = join(lines);
  if (below(random, 4) == 0) change_text(text, random);
  FuzzCase out{text, {}};
  for (size_t i = below(random, 2) * below(random, 4); i > 0; --i) {
    out.overrides.push_back(assignment(random));
  }
  return out;
}

std::string check_input(const FuzzCase& input, FuzzSummary& summary) {
  const std::string& text = input.text;
  const std::clock_t start = std::clock();  // processor time: other programs do not count
  std::string broken;
  try {
    parse_yaml(text, Source::file);
    ++summary.parsed;
  } catch (const YamlError&) {
  } catch (const std::exception& error) {
    broken = std::string("the parser threw: ") + error.what();
  }
  try {
    const RunConfig config = load_config_text(text, "fuzz/case.yaml", input.overrides, 0).config;
    ++summary.accepted;
    const std::string written = resolved_yaml(config, {.folder = "fuzz"});
    const RunConfig again = load_config_text(written, "fuzz/again.yaml", {}, 0).config;
    if (config_hash(config) != config_hash(again)) broken = "does not load back to the same";
  } catch (const Error& error) {
    if (error.code() != ExitCode::usage) broken = error.what();
    if (std::string(error.what()).find("again.yaml") != std::string::npos) {
      broken = std::string("what was written out is refused: ") + error.what();
    }
  } catch (const std::exception& error) {
    broken = std::string("threw: ") + error.what();
  }
  const double ms = 1e3 * static_cast<double>(std::clock() - start) / double{CLOCKS_PER_SEC};
  summary.slowest_ms = std::max(summary.slowest_ms, ms);
  if (broken.empty() && ms > 2000) broken = fmt::format("took {:.0f} ms", ms);
  ++summary.cases;
  return broken;
}

FuzzSummary fuzz_configs(uint64_t first, int64_t cases) {
  const std::vector<std::string> seeds = fuzz_seeds();
  FuzzSummary summary;
  for (int64_t i = 0; i < cases; ++i) {
    const uint64_t number = first + static_cast<uint64_t>(i);
    const FuzzCase input = fuzz_case(seeds, number);
    const std::string broken = check_input(input, summary);
    if (!broken.empty() && summary.failures.size() < 10) {
      summary.failures.push_back(fmt::format("case {}: {}\n{}\n{}", number, broken,
                                             fmt::join(input.overrides, "\n"),
                                             input.text.substr(0, 3000)));
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  summary.peak_bytes = usage.ru_maxrss * 1024;
  return summary;
}

}  // namespace troupe
