// troupe data build IN... --tokenizer T --out PREFIX [options]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/document_end.h"
#include "core/text/json_text.h"
#include "core/text/raw_tokens.h"
#include "core/text/text_source.h"
#include "core/text/token_build.h"
#include "launch/app/commands/data/parts.h"
#include "launch/app/output.h"
#include "launch/app/text_arguments.h"
#include "launch/config/setting_names.h"
#include "launch/metrics/progress.h"
#include "launch/metrics/work_line.h"

namespace troupe {
namespace {

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

// Token ids have no rows and no letters.
void check_options_of_ids(const Arguments& arguments) {
  const auto refuse = [&](const char* key, bool given) {
    if (given)
      fail(ExitCode::usage, "--{} is for texts, and {} is taken as token ids; leave it out", key,
           arguments.positionals[0]);
  };
  for (const char* key : {"field", "format", "invalid-utf8", "separator"})
    refuse(key, arguments.given(key));
  refuse("skip-bad-rows", arguments.flag("skip-bad-rows"));
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

}  // namespace

int data_build(const Arguments& arguments) {
  BuildRequest request;
  request.inputs = arguments.positionals;
  request.tokenizer_name = arguments.text("tokenizer");
  request.text = text_options(arguments);
  request.text.skip_bad_rows = arguments.flag("skip-bad-rows");
  request.prefix = arguments.text("out");
  const std::optional<RawType> raw = raw_type(arguments);
  const bool ids = are_raw(arguments);
  if (ids) check_options_of_ids(arguments);
  for (const char* key : {"tokenizer", "out"}) {
    const bool needed = !ids || std::string_view(key) == "out";
    if (needed && arguments.text(key).empty()) {
      fail(ExitCode::usage, "data build: --{} is missing; `troupe data build --help` says more",
           key);
    }
  }
  const std::unique_ptr<Tokenizer> tokenizer =
      arguments.given("tokenizer")
          ? load_tokenizer(request.tokenizer_name, {arguments.text("end-of-text"), flag_names})
          : nullptr;
  if (tokenizer == nullptr) {
    log::warning(
        "no --tokenizer: each file becomes one document, and nothing will tell when the pair is "
        "used with another tokenizer than the one that made these ids");
  }
  // As data.separator has it, `none` is none.
  if (arguments.text("separator") != "none")
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
      tokenizer ? joined_documents(*tokenizer, request.separator, result.joined, flag_names) : "";
  const std::string ends = tokenizer ? described_end(*tokenizer, request.separator) : "nothing";
  if (!joined.empty()) log::warning("{}", joined);
  if (arguments.flag("json")) {
    const nlohmann::ordered_json json = {{"prefix", request.prefix},
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

}  // namespace troupe
