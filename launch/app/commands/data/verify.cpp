// troupe data verify PREFIX [options]
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/text/json_text.h"
#include "core/text/token_build.h"
#include "launch/app/commands/data/parts.h"
#include "launch/app/output.h"

namespace troupe {

int data_verify(const Arguments& arguments) {
  const std::string prefix = pair_prefix(arguments);
  const std::string given = arguments.text("tokenizer");
  const auto tokenizer =
      given.empty() ? nullptr : load_for(read_token_file_origin(prefix), given, prefix);
  const VerifyResult result = verify_token_file(prefix, tokenizer.get());
  if (arguments.flag("json")) {
    const nlohmann::ordered_json json = {{"prefix", prefix},
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

}  // namespace troupe
