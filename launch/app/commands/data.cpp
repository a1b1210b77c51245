// troupe data build IN... --tokenizer T --out PREFIX [options] | inspect PREFIX|TEXT | verify
// PREFIX
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/document_end.h"
#include "core/text/json_text.h"
#include "core/text/raw_tokens.h"
#include "core/text/token_build.h"
#include "core/text/utf8.h"
#include "launch/app/actions.h"
#include "launch/app/commands.h"
#include "launch/app/output.h"
#include "launch/app/text_arguments.h"
#include "launch/metrics/progress.h"
#include "launch/metrics/work_line.h"

namespace troupe {
namespace {

using nlohmann::ordered_json;

std::string the_prefix(const Arguments& arguments) {
  std::string prefix = arguments.positionals[0];
  if (prefix.ends_with(".idx") || prefix.ends_with(".bin")) prefix.resize(prefix.size() - 4);
  if (!is_token_file(prefix))
    fail(ExitCode::data, "{}: there is no {}.idx; give the prefix of a .bin/.idx pair", prefix,
         prefix);
  return prefix;
}

// The first of the rows that were left out.
void print_skipped(const TextReport& report) {
  if (report.skipped_rows == 0) return;
  output::print("{} bad rows were left out{}:\n", report.skipped_rows,
                report.skipped_rows > static_cast<int64_t>(report.skipped.size())
                    ? fmt::format(", the first {} of them", report.skipped.size())
                    : "");
  for (const std::string& row : report.skipped) output::print("  {}\n", row);
}

// What the integers of bare token files are; nothing without --raw.
std::optional<RawType> raw_type(const Arguments& arguments) {
  if (!arguments.given("raw")) return std::nullopt;
  const std::string& text = arguments.text("raw");
  if (text == "u16") return RawType::u16;
  if (text == "u32") return RawType::u32;
  fail(ExitCode::usage, "--raw {}: must be u16 or u32", text);
}

// The inputs are token ids already: of llm.c, which can be seen, or bare, which is said.
bool are_raw(const Arguments& arguments) {
  const std::vector<std::string>& inputs = arguments.positionals;
  const auto known = std::count_if(inputs.begin(), inputs.end(), is_llm_c_file);
  if (known > 0 && known < static_cast<std::ptrdiff_t>(inputs.size()) && !arguments.given("raw")) {
    const auto other = std::find_if_not(inputs.begin(), inputs.end(), is_llm_c_file);
    fail(ExitCode::usage, "{} holds token ids as llm.c writes them, {} does not: build them apart",
         *std::find_if(inputs.begin(), inputs.end(), is_llm_c_file), *other);
  }
  return known > 0 || arguments.given("raw");
}

// \n, \t, \r and \\ as in a YAML text in double quotes.
std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t which =
        text[i] == '\\' && i + 1 < text.size() ? std::string("ntr\\").find(text[i + 1]) : 4;
    if (which < 4) {
      out += "\n\t\r\\"[which];
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

int build(const Arguments& arguments) {
  BuildRequest request;
  request.inputs = arguments.positionals;
  request.tokenizer_name = arguments.text("tokenizer");
  request.text = text_options(arguments);
  request.text.skip_bad_rows = arguments.flag("skip-bad-rows");
  request.prefix = arguments.text("out");
  const std::optional<RawType> raw = raw_type(arguments);
  const bool ids = are_raw(arguments);
  for (const char* key : {"tokenizer", "out"}) {
    const bool needed = !ids || std::string_view(key) == "out";
    if (needed && arguments.text(key).empty()) {
      fail(ExitCode::usage, "data build: --{} is missing; `troupe data build --help` says more",
           key);
    }
  }
  const std::unique_ptr<Tokenizer> tokenizer =
      arguments.given("tokenizer")
          ? load_tokenizer(request.tokenizer_name, {arguments.text("end-of-text")})
          : nullptr;
  if (tokenizer == nullptr) {
    log::warning(
        "no --tokenizer: each file becomes one document, and nothing will tell when the pair is "
        "used with another tokenizer than the one that made these ids");
  }
  request.separator = unescaped(arguments.text("separator"));
  BuildResult result;
  const auto start = std::chrono::steady_clock::now();
  {
    WorkLine line(stderr, Progress::live_on(stderr));
    const auto show = [&](int64_t done, int64_t total) {
      line.show(ids ? "copying" : "tokenising",
                fmt::format("{:.1f} MB", static_cast<double>(total) / 1e6), done, total);
    };
    result = ids ? build_from_raw(request, raw, tokenizer.get(), show)
                 : build_token_file(request, *tokenizer, show);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double rate = static_cast<double>(result.bytes) / 1e6 / std::max(seconds, 1e-6);
  const std::string joined =
      tokenizer ? joined_documents(*tokenizer, request.separator, result.joined) : "";
  const std::string ends = tokenizer ? described_end(*tokenizer, request.separator) : "nothing";
  if (!joined.empty()) log::warning("{}", joined);
  if (arguments.flag("json")) {
    const ordered_json json = {{"prefix", request.prefix},
                               {"tokens", result.tokens},
                               {"documents", result.documents},
                               {"empty", result.empty},
                               {"skipped_rows", result.report.skipped_rows},
                               {"skipped", result.report.skipped},
                               {"invalid_utf8_bytes", result.report.invalid_bytes},
                               {"bytes", result.bytes},
                               {"type", name(result.type)},
                               {"vocab", tokenizer ? tokenizer->vocab_size() : 0},
                               {"end_of_text", ends},
                               {"mb_per_s", rate},
                               {"removed", result.removed}};
    output::print("{}\n", json_text(json));
    return 0;
  }
  for (const std::string& path : result.removed) {
    output::print("removed {}, which a build that was stopped had left\n", path);
  }
  output::print("{}.bin and .idx: {} tokens ({}) in {} documents from {} bytes, {:.1f} MB/s\n",
                request.prefix, result.tokens, name(result.type), result.documents, result.bytes,
                rate);
  output::print("behind each document of several: {}\n", ends);
  if (result.empty > 0) output::print("{} documents without text were left out\n", result.empty);
  print_skipped(result.report);
  return 0;
}

// With the end of text that a pair was built with.
TokenizerOptions options_of(const std::optional<TokenFileOrigin>& origin) {
  if (!origin) return {};
  return {origin->end_of_text.value_or("by_name")};
}

// The tokenizer NAME, with the end of text that a pair was built with.
std::unique_ptr<Tokenizer> load_for(const std::optional<TokenFileOrigin>& origin,
                                    const std::string& name, const std::string& prefix) {
  try {
    return load_tokenizer(name, options_of(origin));
  } catch (const Error&) {
    if (!origin || !origin->end_of_text) throw;
    const auto tokenizer = load_tokenizer(name);  // throws again what has other reasons
    fail(ExitCode::data,
         "{}: was made with another tokenizer ({}) than {} ({}), which has no token {}", prefix,
         origin->tokenizer, name, tokenizer->description(), *origin->end_of_text);
  }
}

// The tokenizer that is given, or the one that made the pair if it can still be loaded.
std::unique_ptr<Tokenizer> tokenizer_for(const Arguments& arguments,
                                         const std::optional<TokenFileOrigin>& origin,
                                         const std::string& prefix) {
  const std::string given = arguments.text("tokenizer");
  std::unique_ptr<Tokenizer> tokenizer;
  if (!given.empty()) {
    tokenizer = load_for(origin, given, prefix);
  } else if (origin) {
    try {
      tokenizer = load_tokenizer(origin->tokenizer, options_of(origin));
    } catch (const Error& error) {
      log::warning("ids only, as the tokenizer that made {} cannot be loaded: {}", prefix,
                   error.what());
      return nullptr;
    }
  }
  if (tokenizer && origin && tokenizer->fingerprint() != origin->fingerprint)
    fail(ExitCode::data, "{}: was made with another tokenizer ({}, as it was then) than {} ({})",
         prefix, origin->tokenizer, given.empty() ? origin->tokenizer : given,
         tokenizer->description());
  return tokenizer;
}

// The text of a token for the eye: control characters and what is no UTF-8 as escapes.
std::string shown(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    const auto byte = static_cast<uint8_t>(bytes[0]);
    if (bytes[0] == '\n') {
      out += "\\n";
    } else if (bytes[0] == '\t') {
      out += "\\t";
    } else if (!step.valid || byte < 0x20 || byte == 0x7F) {
      for (const char c : bytes.substr(0, step.length))
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    } else {
      out += bytes.substr(0, step.length);
    }
    bytes.remove_prefix(step.length);
  }
  return out;
}

struct Sample {
  int64_t document = 0;
  int64_t first = 0;
  int64_t tokens = 0;  // of the whole document
  std::vector<int32_t> ids;
};

// The beginnings of documents spread evenly over the file.
std::vector<Sample> samples_of(const TokenFile& file, int64_t count, int64_t length) {
  const auto starts = file.tokens.document_starts();
  const auto documents = static_cast<int64_t>(starts.size());
  count = std::min(count, documents);
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    sample.document = i * documents / count;
    const auto index = static_cast<size_t>(sample.document);
    sample.first = starts[index];
    sample.tokens =
        (index + 1 < starts.size() ? starts[index + 1] : file.tokens.size()) - sample.first;
    sample.ids.resize(static_cast<size_t>(std::min(length, sample.tokens)));
    file.tokens.read(sample.first, sample.ids, int64_t{1} << 31);
    samples.push_back(std::move(sample));
  }
  return samples;
}

void check_ids_of(const Sample& sample, const Tokenizer& tokenizer, const std::string& prefix) {
  for (const int32_t id : sample.ids)
    if (id >= tokenizer.vocab_size())
      fail(ExitCode::data, "{}.bin: document {} has id {}, outside the vocabulary [0, {})", prefix,
           sample.document, id, tokenizer.vocab_size());
}

void print_sample(const Sample& sample, const Tokenizer* tokenizer) {
  const auto size = static_cast<int64_t>(sample.ids.size());
  output::print("\ndocument {} begins at token {}: {} tokens{}\n", sample.document, sample.first,
                sample.tokens, size < sample.tokens ? fmt::format(", the first {} are", size) : "");
  std::string pieces = "  text ";
  std::string ids = "  ids  ";
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    if (i > 0) pieces += '|';
    if (tokenizer != nullptr) pieces += shown(tokenizer->id_to_bytes(sample.ids[i]));
    ids += fmt::format("{}{}", i > 0 ? " " : "", sample.ids[i]);
  }
  if (tokenizer != nullptr) output::print("{}\n", pieces);
  output::print("{}\n", ids);
}

// A file or folder of text, not a pair.
bool names_text(const std::string& path) {
  std::error_code error;
  if (path.ends_with(".idx") || path.ends_with(".bin") || is_token_file(path)) return false;
  return std::filesystem::exists(path, error);
}

// What a text would be taken for, and how much of it there is.
int inspect_text(const Arguments& arguments) {
  const TextSource source(arguments.positionals[0], text_options(arguments));
  int64_t documents = 0;
  int64_t bytes = 0;
  const TextReport report = source.visit([&](const TextPiece& piece) {
    documents += piece.last ? 1 : 0;
    bytes += static_cast<int64_t>(piece.text.size());
  });
  if (arguments.flag("json")) {
    const ordered_json json = {{"path", source.path()},
                               {"holds", source.description()},
                               {"files", source.files().size()},
                               {"left_out", source.left_out()},
                               {"bytes_on_disk", source.bytes()},
                               {"documents", documents},
                               {"bytes", bytes},
                               {"invalid_utf8_bytes", report.invalid_bytes}};
    output::print("{}\n", json_text(json));
    return 0;
  }
  output::print("{}: {}, {} documents with {} bytes of text, {} bytes on disk; not tokenised yet\n",
                source.path(), source.description(), documents, bytes, source.bytes());
  say_what_was_met(source, report);
  return 0;
}

int inspect(const Arguments& arguments) {
  if (names_text(arguments.positionals[0])) return inspect_text(arguments);
  const std::string prefix = the_prefix(arguments);
  const TokenFile file = open_token_file(prefix);
  const auto origin = read_token_file_origin(prefix);
  const auto tokenizer = tokenizer_for(arguments, origin, prefix);
  const std::string separator = origin ? origin->separator : "";
  const std::vector<Sample> samples =
      samples_of(file, arguments.integer("samples", 0), arguments.integer("tokens", 0));
  if (tokenizer)
    for (const Sample& sample : samples) check_ids_of(sample, *tokenizer, prefix);
  if (arguments.flag("json")) {
    ordered_json json = {{"prefix", prefix},
                         {"type", name(file.index.type)},
                         {"tokens", file.index.tokens},
                         {"documents", file.index.documents},
                         {"sequences", file.index.sequences}};
    if (origin) json["tokenizer"] = origin->tokenizer;
    if (tokenizer) json["end_of_text"] = described_end(*tokenizer, separator);
    json["samples"] = ordered_json::array();
    for (const Sample& sample : samples) {
      ordered_json entry = {{"document", sample.document},
                            {"first", sample.first},
                            {"tokens", sample.tokens},
                            {"ids", sample.ids}};
      if (tokenizer) entry["text"] = utf8_replaced(tokenizer->decode(sample.ids));
      json["samples"].push_back(entry);
    }
    output::print("{}\n", json_text(json));
    return 0;
  }
  output::print("{}: {} tokens ({}) in {} documents ({} sequences), tokenizer {}\n", prefix,
                file.index.tokens, name(file.index.type), file.index.documents,
                file.index.sequences, origin ? origin->tokenizer : "not recorded");
  if (tokenizer)
    output::print("behind each document of several: {}\n", described_end(*tokenizer, separator));
  for (const Sample& sample : samples) print_sample(sample, tokenizer.get());
  return 0;
}

int verify(const Arguments& arguments) {
  const std::string prefix = the_prefix(arguments);
  const std::string given = arguments.text("tokenizer");
  const auto tokenizer =
      given.empty() ? nullptr : load_for(read_token_file_origin(prefix), given, prefix);
  const VerifyResult result = verify_token_file(prefix, tokenizer.get());
  if (arguments.flag("json")) {
    const ordered_json json = {{"prefix", prefix},
                               {"ok", true},
                               {"tokens", result.index.tokens},
                               {"documents", result.index.documents},
                               {"sequences", result.index.sequences},
                               {"largest_id", result.largest_id},
                               {"vocab", result.vocab},
                               {"hash_checked", result.hash_checked}};
    output::print("{}\n", json_text(json));
    return 0;
  }
  output::print("{}: good. {} tokens ({}) in {} documents; largest id {}{}; {}\n", prefix,
                result.index.tokens, name(result.index.type), result.index.documents,
                result.largest_id,
                result.vocab > 0 ? fmt::format(", below the vocabulary of {}", result.vocab)
                                 : ", vocabulary not known (give --tokenizer)",
                result.hash_checked ? "the hash agrees" : "no hash was recorded");
  return 0;
}

constexpr const char* kTokenizerHelp =
    "byte, a folder with a tokenizer.json or with vocab.json and merges.txt, or a tokenizer.json";

std::vector<Action> actions() {
  CommandLine build_line("data build", "IN... --tokenizer T --out PREFIX [options]",
                         "tokenises text files, JSONL files and folders into PREFIX.bin and "
                         "PREFIX.idx, as Megatron-LM "
                         "reads them");
  add_text_options(build_line);
  build_line.option("tokenizer", "T", "", kTokenizerHelp)
      .option("out", "PREFIX", "", "where the pair goes")
      .option("end-of-text", "TOKEN", "auto",
              "behind each row and each file of a folder; auto = what the tokenizer's files say, "
              "none")
      .option("separator", "TEXT", "",
              "a text there instead, for tokenizers without an end-of-text token (\\n is a line "
              "break)")
      .flag("skip-bad-rows",
            "count JSON lines that cannot be read and leave them out, instead of stopping at the "
            "first")
      .option(
          "raw", "u16|u32", "",
          "IN... are bare token ids of 2 or 4 bytes, as nanoGPT writes them; llm.c's .bin files "
          "are known by their header. --tokenizer says whose ids they are, and its end-of-text "
          "token ends a document")
      .flag("json", "one JSON object on standard output")
      .positionals(1, SIZE_MAX);
  CommandLine inspect_line(
      "data inspect", "PREFIX|TEXT [options]",
      "shows what a pair holds, and the beginnings of some documents as tokens; of a text file or "
      "folder, what it is taken for");
  add_text_options(inspect_line);
  inspect_line
      .option("tokenizer", "T", "", fmt::format("{}; else the one that made it", kTokenizerHelp))
      .option("samples", "N", "3", "documents to show")
      .option("tokens", "N", "48", "tokens to show of each")
      .flag("json", "one JSON object on standard output")
      .positionals(1, 1);
  CommandLine verify_line("data verify", "PREFIX [options]",
                          "reads all of a pair and checks header, tables, sizes, ids and hash; "
                          "code 3 when something is "
                          "wrong");
  verify_line.option("tokenizer", "T", "", kTokenizerHelp)
      .flag("json", "one JSON object on standard output")
      .positionals(1, 1);
  return {{"build", build_line, build},
          {"inspect", inspect_line, inspect},
          {"verify", verify_line, verify}};
}

}  // namespace

int command_data(std::span<const std::string> args) { return run_action("data", actions(), args); }

}  // namespace troupe
