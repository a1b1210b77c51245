// What is refused, and in which words.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/text/bpe_files.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using nlohmann::json;
using test::data_path;
using test::expect_error;
using test::read_text;

json small(const std::string& name = "gpt2") {
  return json::parse(read_text(data_path("small_json/" + name + ".json")));
}

// The file after one change must be refused with these words.
void refuses(const std::string& words, const std::function<void(json&)>& change,
             const std::string& name = "gpt2") {
  json file = small(name);
  change(file);
  expect_error(ExitCode::data, words, [&] { parse_tokenizer_json(file.dump(), "tok.json"); });
}

TEST(TokenizerJson, RefusesOtherKinds) {
  refuses("its model is of type Unigram", [](json& f) { f["model"]["type"] = "Unigram"; });
  refuses("its model is of type WordPiece", [](json& f) { f["model"]["type"] = "WordPiece"; });
  refuses("is not a tokenizer.json: it has no \"model\"", [](json& f) { f = f["model"]["vocab"]; });
  refuses("byte_fallback", [](json& f) { f["model"]["byte_fallback"] = true; });
  refuses("dropout", [](json& f) { f["model"]["dropout"] = 0.1; });
  refuses("end_of_word_suffix", [](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; });
  refuses("its normalizer is NFKC", [](json& f) { f["normalizer"] = {{"type", "NFKC"}}; });
  refuses("its normalizer is NFC, Lowercase", [](json& f) {
    f["normalizer"] = {{"type", "Sequence"},
                       {"normalizers", {{{"type", "NFC"}}, {{"type", "Lowercase"}}}}};
  });
  refuses("its decoder is Metaspace", [](json& f) { f["decoder"] = {{"type", "Metaspace"}}; });
  refuses("its pre_tokenizer is Metaspace", [](json& f) {
    f["pre_tokenizer"] = {{"type", "Metaspace"}};
  });
  refuses("its pre_tokenizer is null", [](json& f) { f["pre_tokenizer"] = nullptr; });
  refuses("add_prefix_space", [](json& f) { f["pre_tokenizer"]["add_prefix_space"] = true; });
  refuses("does not split", [](json& f) { f["pre_tokenizer"]["use_regex"] = false; });
  refuses(
      "its split pattern is not known: \\d+",
      [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\d+"; },
      "cl100k");
  for (const char* behavior : {"Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"})
    refuses(
        std::string("its Split has behavior ") + behavior + " ",
        [&](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = behavior; }, "cl100k");
  refuses(
      "its pre_tokenizer is Digits, Split, ByteLevel",
      [](json& f) {
        json& steps = f["pre_tokenizer"]["pretokenizers"];
        steps.insert(steps.begin(), json{{"type", "Digits"}, {"individual_digits", true}});
      },
      "cl100k");
  refuses(
      "splits twice", [](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true; },
      "cl100k");
}

TEST(TokenizerJson, RefusesDamage) {
  refuses("needs token \"zz\"", [](json& f) { f["model"]["merges"].push_back("z z"); });
  refuses("model.merges[1000]: \"one\" is not a merge",
          [](json& f) { f["model"]["merges"].push_back("one"); });
  refuses("neither \"a b\"", [](json& f) { f["model"]["merges"].push_back(json::array({"a"})); });
  refuses("for byte 0x21", [](json& f) { f["model"]["vocab"].erase("!"); });
  refuses("id 5 is given twice", [](json& f) { f["model"]["vocab"]["xyz"] = 5; });
  refuses("has id -1", [](json& f) { f["model"]["vocab"]["xyz"] = -1; });
  refuses("has id 4194304", [](json& f) { f["model"]["vocab"]["xyz"] = 4194304; });
  refuses("is not an integer", [](json& f) { f["model"]["vocab"]["xyz"] = 1.5; });
  refuses("is not an object of token", [](json& f) { f["model"].erase("vocab"); });
  refuses("does not agree", [](json& f) { f["added_tokens"][0]["id"] = 7; });
  refuses("does not agree", [](json& f) { f["added_tokens"][1] = f["added_tokens"][0]; });
  refuses("an added token is empty", [](json& f) { f["added_tokens"][0]["content"] = ""; });
  refuses("neither true nor false", [](json& f) { f["added_tokens"][0]["lstrip"] = 1; });
  expect_error(ExitCode::data, "is not valid JSON",
               [] { parse_tokenizer_json("{\"model\": ", "tok.json"); });
  expect_error(ExitCode::data, "nested deeper",
               [] { parse_tokenizer_json(std::string(100, '['), "tok.json"); });
  expect_error(ExitCode::data, "not an object", [] { parse_tokenizer_json("[]", "tok.json"); });
}

TEST(TokenizerJson, RefusesMergesThatAreNotAllThere) {
  refuses("model.merges has 0 merges", [](json& f) { f["model"]["merges"] = json::array(); });
  const auto cut = [](json& f) {
    json& merges = f["model"]["merges"];
    merges.erase(merges.begin() + 50, merges.end());
  };
  refuses("model.merges has 50 merges, and none of them makes", cut);
  json whole = small();  // where whole tokens are taken without merges, nothing is missing
  whole["model"]["ignore_merges"] = true;
  cut(whole);
  EXPECT_NO_THROW(parse_tokenizer_json(whole.dump(), "tok.json"));
  json some = small();  // tokens that nothing makes are usual
  some["model"]["merges"].erase(some["model"]["merges"].size() - 1);
  EXPECT_NO_THROW(parse_tokenizer_json(some.dump(), "tok.json"));
}

TEST(TokenizerJson, ReadsBothFormsOfMerges) {
  json pairs = small();
  for (json& merge : pairs["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    merge = json::array({text.substr(0, space), text.substr(space + 1)});
  }
  EXPECT_EQ(parse_tokenizer_json(pairs.dump(), "pairs")->fingerprint(),
            parse_tokenizer_json(small().dump(), "strings")->fingerprint());
}

TEST(TokenizerJson, FingerprintsDiffer) {
  const uint64_t fingerprint = parse_tokenizer_json(small().dump(), "a")->fingerprint();
  json fewer = small();
  fewer["model"]["merges"].erase(fewer["model"]["merges"].size() - 1);
  EXPECT_NE(parse_tokenizer_json(fewer.dump(), "b")->fingerprint(), fingerprint);
  json ignoring = small();
  ignoring["model"]["ignore_merges"] = true;
  EXPECT_NE(parse_tokenizer_json(ignoring.dump(), "c")->fingerprint(), fingerprint);
}

TEST(TokenizerJson, IgnoreMergesTakesWholePieces) {
  // "abcd" is a token that no merge makes.
  json file = small();
  file["model"]["vocab"]["abcd"] = 1256;
  file["added_tokens"] = json::array();
  EXPECT_GT(parse_tokenizer_json(file.dump(), "a")->encode("abcd").size(), 1U);
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(parse_tokenizer_json(file.dump(), "b")->encode("abcd"), std::vector<int32_t>{1256});
}

TEST(TokenizerJson, TheLongestAddedTokenWins) {
  json file = small();
  json longer = file["added_tokens"][1];
  longer["id"] = 1301;
  longer["content"] = "<user> ";
  file["added_tokens"].push_back(longer);
  EXPECT_EQ(parse_tokenizer_json(file.dump(), "a")->encode("<user> <user>"),
            (std::vector<int32_t>{1301, 1300}));
}

}  // namespace
}  // namespace troupe
