// Which token ends texts: what the files say, the names, the key.
#include "core/text/end_of_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/text/bpe_files.h"
#include "core/text/document_end.h"
#include "tests/core/text/fixtures.h"
#include "tests/core/text/setting_names.h"

namespace troupe {
namespace {

using nlohmann::json;
using test::data_path;
using test::expect_error;
using test::read_text;
using test::TemporaryDirectory;
using test::write_text;

json small() { return json::parse(read_text(data_path("small_json/gpt2.json"))); }

json added(int id, const std::string& content, bool special = true) {
  return {{"id", id}, {"content", content}, {"special", special}};
}

std::optional<int32_t> end_with(const json& added_tokens, const std::string& wanted = "auto") {
  json file = small();
  file["added_tokens"] = added_tokens;
  return parse_tokenizer_json(file.dump(), "tok.json", {}, {wanted})->end_of_text();
}

TEST(EndOfText, IsAnAddedTokenOfAKnownName) {
  for (const char* name :
       {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<|im_end|>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>", "<|eot_id|>", "<end_of_turn>"})
    EXPECT_EQ(end_with(json::array({added(1256, "<pad>"), added(1257, name)})), 1257) << name;
  EXPECT_EQ(end_with(json::array({added(1256, "<|im_end|>"), added(1257, "<|endoftext|>")})), 1257);
  EXPECT_EQ(end_with(json::array({added(1256, "<start>")})), std::nullopt);
  EXPECT_EQ(end_with(json::array()), std::nullopt);
}

TEST(EndOfText, RunsFromBeforeTheKeyKnewThreeNames) {
  EXPECT_EQ(end_with(json::array({added(1256, "<eos>")}), "by_name"), std::nullopt);
  EXPECT_EQ(end_with(json::array({added(1256, "<eos>"), added(1257, "</s>")}), "by_name"), 1257);
}

TEST(EndOfText, TheKeyWins) {
  const json tokens = {added(1256, "<|endoftext|>"), added(1257, "<stop>"),
                       added(1258, "word", false)};
  EXPECT_EQ(end_with(tokens, "<stop>"), 1257);
  EXPECT_EQ(end_with(tokens, "word"), 1258);
  EXPECT_EQ(end_with(tokens, "none"), std::nullopt);
  expect_error(ExitCode::data,
               "has no token \"<end>\", which end_of_text names; its added tokens: "
               "<|endoftext|>, <stop>, word",
               [&] { end_with(tokens, "<end>"); });
  expect_error(ExitCode::data, "\"the\" is an ordinary token", [&] { end_with(tokens, "the"); });
  expect_error(ExitCode::data, "the byte tokenizer has no special tokens",
               [] { load_tokenizer("byte", {"<eos>"}); });
  EXPECT_NO_THROW(load_tokenizer("byte", {"none"}));
}

TEST(EndOfText, FlagsAreNamedWhereFlagsWereGiven) {
  const json tokens = {added(1256, "<|endoftext|>")};
  json file = small();
  file["added_tokens"] = tokens;
  const auto load = [&](const std::string& wanted) {
    return parse_tokenizer_json(file.dump(), "tok.json", {}, {wanted, named_as_flags});
  };
  expect_error(ExitCode::data, "has no token \"<end>\", which --end-of-text names",
               [&] { load("<end>"); });
  expect_error(ExitCode::data,
               "--end-of-text \"the\" is an ordinary token, which stands inside "
               "texts too; name a special one, or let --separator stand between rows",
               [&] { load("the"); });
  expect_error(ExitCode::data, "--end-of-text is \"<eos>\", but the byte tokenizer", [] {
    load_tokenizer("byte", {"<eos>", named_as_flags});
  });
  const auto tokenizer = load("auto");
  expect_error(ExitCode::usage, "--separator is \"\\n\", but the tokenizer ends documents with",
               [&] { const DocumentEnd end(*tokenizer, "\n", named_as_flags); });
  const std::string joined = joined_documents(*load_tokenizer("byte"), "", 3, named_as_flags);
  EXPECT_NE(joined.find("--end-of-text names one, --separator (\"\\n\") puts"), std::string::npos)
      << joined;
}

TEST(EndOfText, BelongsToTheFingerprint) {
  json file = small();
  const auto fingerprint = [&](const char* wanted) {
    return parse_tokenizer_json(file.dump(), "tok.json", {}, {wanted})->fingerprint();
  };
  const uint64_t usual = fingerprint("auto");
  EXPECT_EQ(fingerprint("<|endoftext|>"), usual);
  EXPECT_EQ(fingerprint("by_name"), usual);
  EXPECT_NE(fingerprint("none"), usual);
  EXPECT_NE(fingerprint("<user>"), usual);
}

class EndOfTextFiles : public testing::Test {
 protected:
  void SetUp() override {
    json file = small();
    file["added_tokens"] = {added(1256, "<|endoftext|>"), added(1257, "<a>"), added(1258, "<b>"),
                            added(1259, "<c>")};
    write("tokenizer.json", file);
  }
  void write(const std::string& name, const json& value) {
    write_text(folder_ / name, value.dump());
  }
  EndOfText end(const std::string& wanted = "auto") {
    return load_tokenizer(folder_.path(), {wanted})->end();
  }
  TemporaryDirectory folder_;
};

TEST_F(EndOfTextFiles, TheFirstFileThatSaysItDecides) {
  EXPECT_EQ(end().id, 1256);
  EXPECT_EQ(end().origin, "its name");
  write("config.json", {{"model_type", "anything"}, {"eos_token_id", 1257}});
  EXPECT_EQ(end().id, 1257);
  write("generation_config.json", {{"eos_token_id", 1258}});
  EXPECT_EQ(end().id, 1258);
  write("special_tokens_map.json", {{"eos_token", {{"content", "<c>"}}}});
  EXPECT_EQ(end().id, 1259);
  EXPECT_EQ(end().stop, (std::vector<int32_t>{1259, 1258}));
  write("tokenizer_config.json", {{"eos_token", "<a>"}});
  EXPECT_EQ(end().id, 1257);
  EXPECT_NE(end().origin.find("tokenizer_config.json: eos_token"), std::string::npos);
  write("tokenizer_config.json", {{"eos_token", nullptr}});  // says nothing
  EXPECT_EQ(end().id, 1259);
}

// What a class has where nobody says it is no word of a file.
TEST_F(EndOfTextFiles, AFileComesBeforeTheUsualTokenOfAClass) {
  const json file = small();
  TemporaryDirectory folder;
  json vocab = file["model"]["vocab"];
  for (const auto& [id, token] : {std::pair(1256, "<|endoftext|>"), std::pair(1257, "<a>")})
    vocab[token] = id;
  std::string merges = "#version: 0.2\n";
  for (const json& merge : file["model"]["merges"])
    merges +=
        (merge.is_string() ? merge.get<std::string>()
                           : merge[0].get<std::string>() + " " + merge[1].get<std::string>()) +
        "\n";
  write_text(folder / "vocab.json", vocab.dump());
  write_text(folder / "merges.txt", merges);
  const auto end_id = [&] { return load_tokenizer(folder.path())->end_of_text(); };
  EXPECT_EQ(end_id(), 1256);
  write_text(folder / "config.json", R"({"eos_token_id": 1257})");
  EXPECT_EQ(end_id(), 1257);
  write_text(folder / "config.json", R"({"eos_token_id": 3})");  // an ordinary token
  EXPECT_EQ(end_id(), 1256);
}

TEST_F(EndOfTextFiles, AllIdsOfGenerationEndWhatIsWritten) {
  write("generation_config.json", {{"eos_token_id", {1258, 1256, 1258000, 3}}});
  write("config.json", {{"eos_token_id", 1257}});
  EXPECT_EQ(end().id, 1258);
  EXPECT_EQ(end().stop, (std::vector<int32_t>{1258, 1256}));  // 3 is "$", an ordinary token
  // A key that says the same changes nothing; another is alone.
  EXPECT_EQ(end("<b>").stop, (std::vector<int32_t>{1258, 1256}));
  EXPECT_EQ(end("<c>").stop, std::vector<int32_t>{1259});
  EXPECT_TRUE(end("none").stop.empty());
}

// Texts would not end where the files say, so it is said.
TEST_F(EndOfTextFiles, IdsThatEndNoTextAreNamed) {
  const auto said = [&](const json& ids) {
    write("generation_config.json", {{"eos_token_id", ids}});
    testing::internal::CaptureStderr();
    end();
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(1258), "");
  EXPECT_EQ(said({1258, 1256}), "");
  EXPECT_EQ(said(nullptr), "");
  const std::string ordinary = said(3);
  EXPECT_NE(ordinary.find("generation_config.json: eos_token_id 3 is \"$\", an ordinary token that "
                          "stands inside texts, and ends no text (its name ends texts)"),
            std::string::npos)
      << ordinary;
  const std::string unlisted = said({1258, 99999, -1});
  EXPECT_NE(unlisted.find("eos_token_id 99999 is no token of the vocabulary and ends no text ("),
            std::string::npos)
      << unlisted;
  EXPECT_NE(unlisted.find("eos_token_id -1 is no token"), std::string::npos) << unlisted;
}

TEST_F(EndOfTextFiles, IdsAreWholeNumbers) {
  for (const char* file : {"generation_config.json", "config.json"}) {
    for (const json& value :
         {json("5"), json(5.0), json(true), json{1258, "1257"}, json::object()}) {
      write(file, {{"eos_token_id", value}});
      expect_error(ExitCode::data,
                   std::string(file) + ": eos_token_id is " + value.dump() +
                       "; write whole numbers without quotes and point",
                   [&] { end(); });
    }
    write(file, {{"eos_token_id", nullptr}});
    EXPECT_EQ(end().id, 1256);
  }
}

TEST_F(EndOfTextFiles, IsDescribed) {
  const auto tokenizer = load_tokenizer(folder_.path());
  EXPECT_NE(tokenizer->description().find("end of text <|endoftext|>"), std::string::npos);
  EXPECT_EQ(described_end(*tokenizer), "<|endoftext|> (its name)");
  EXPECT_EQ(described_end(*load_tokenizer("byte"), "\n"), "separator \"\\n\"");
  EXPECT_EQ(described_end(*load_tokenizer("byte")), "nothing");
}

}  // namespace
}  // namespace troupe
