// troupe bench tokenizer FOLDER|tokenizer.json|byte [--text FILE]
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/json_text.h"
#include "core/text/text_source.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"
#include "launch/bench/tokenizer_bench.h"

namespace troupe {
namespace {

constexpr int64_t kDrawnBytes = 4 << 20;

std::string bench_text(const Arguments& arguments, const Tokenizer& tokenizer) {
  if (!arguments.given("text")) return text_of_tokens(tokenizer, kDrawnBytes);
  const TextSource source(arguments.text("text"), {});
  std::string text;
  say_what_was_met(source, source.visit([&](const TextPiece& piece) { text += piece.text; }));
  if (text.empty()) fail(ExitCode::data, "{} is empty; give a text", arguments.text("text"));
  return text;
}

}  // namespace

int bench_tokenizer_command(const Arguments& arguments) {
  const int64_t repeats = arguments.integer("repeats", 1);
  if (arguments.positionals.size() > 2) {
    fail(ExitCode::usage, "bench tokenizer takes one tokenizer, not also '{}'",
         arguments.positionals[2]);
  }
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(arguments.positionals[1]);
  const std::string text = bench_text(arguments, *tokenizer);
  const TokenizerBench bench = bench_tokenizer(*tokenizer, text, repeats);
  if (arguments.flag("json")) {
    const nlohmann::ordered_json out{{"encode_bytes_per_s", bench.encode_rate},
                                     {"decode_bytes_per_s", bench.decode_rate},
                                     {"byte_encode_bytes_per_s", bench.byte_encode_rate},
                                     {"copy_bytes_per_s", bench.copy_rate},
                                     {"text_bytes", bench.text_bytes},
                                     {"tokens", bench.tokens},
                                     {"repeats", repeats}};
    output::print("{}\n", json_text(out));
    return 0;
  }
  output::print("tokenizer         {}\n", tokenizer->description());
  output::print("text              {}, {:.2f} MB, {} tokens, {:.2f} bytes a token\n",
                arguments.given("text") ? arguments.text("text") : "drawn from its own tokens",
                static_cast<double>(bench.text_bytes) / 1e6, bench.tokens,
                static_cast<double>(bench.text_bytes) / static_cast<double>(bench.tokens));
  output::print("encode            {:.2f} MB/s median of {}, one thread\n", bench.encode_rate / 1e6,
                repeats);
  output::print("decode            {:.1f} MB/s\n", bench.decode_rate / 1e6);
  output::print("limits            {:.0f} MB/s byte tokenizer, {:.0f} MB/s copying the text\n",
                bench.byte_encode_rate / 1e6, bench.copy_rate / 1e6);
  return 0;
}

}  // namespace troupe
