// troupe data build IN... --tokenizer T --out PREFIX [options] | inspect PREFIX|TEXT | verify
// PREFIX
#include <fmt/core.h>

#include "core/base/error.h"
#include "launch/app/actions.h"
#include "launch/app/command.h"
#include "launch/app/commands/data/parts.h"
#include "launch/app/text_arguments.h"
#include "launch/config/setting_names.h"

namespace troupe {

std::string pair_prefix(const Arguments& arguments) {
  std::string prefix = arguments.positionals[0];
  if (prefix.ends_with(".idx") || prefix.ends_with(".bin")) prefix.resize(prefix.size() - 4);
  if (!is_token_file(prefix))
    fail(ExitCode::data, "{}: there is no {}.idx; give the prefix of a .bin/.idx pair", prefix,
         prefix);
  return prefix;
}

TokenizerOptions options_of(const std::optional<TokenFileOrigin>& origin) {
  TokenizerOptions options;
  options.names = key_names;
  if (origin) options.end_of_text = origin->end_of_text.value_or("by_name");
  return options;
}

std::unique_ptr<Tokenizer> load_for(const std::optional<TokenFileOrigin>& origin,
                                    const std::string& name, const std::string& prefix) {
  try {
    return load_tokenizer(name, options_of(origin));
  } catch (const Error&) {
    if (!origin || !origin->end_of_text) throw;
    const auto tokenizer =
        load_tokenizer(name, options_of({}));  // throws again what has other reasons
    fail(ExitCode::data,
         "{}: was made with another tokenizer ({}) than {} ({}), which has no token {}", prefix,
         origin->tokenizer, name, tokenizer->description(), *origin->end_of_text);
  }
}

namespace {

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
              "behind each row and each file of a folder; auto = the one that the tokenizer's "
              "files say, else a known name; none = nothing")
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
  return {{"build", build_line, data_build},
          {"inspect", inspect_line, data_inspect},
          {"verify", verify_line, data_verify}};
}

int run(std::span<const std::string> args) { return run_action("data", actions(), args); }

}  // namespace

Command command_data() {
  Command command;
  command.place = 70;
  command.name = "data";
  command.arguments = "build|inspect|verify ...";
  command.summary = "turn text into tokens, look at them";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
