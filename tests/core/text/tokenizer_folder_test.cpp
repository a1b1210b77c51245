// Folders as Hugging Face's libraries write them: the ids must be the ones of those libraries
// (data/folders, data/variants.jsonl; made by tools/crosscheck/tokenizer_folders.py), and what
// cannot be read right is refused by name.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/text/bpe_files.h"
#include "core/text/unicode.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using nlohmann::json;
using test::data_path;
using test::expect_error;
using test::read_text;
using test::TemporaryDirectory;
using test::write_text;

std::vector<json> lines_of(const std::string& path) {
  std::vector<json> rows;
  std::stringstream text(read_text(path));
  for (std::string line; std::getline(text, line);) rows.push_back(json::parse(line));
  EXPECT_GT(rows.size(), 5U) << path;
  return rows;
}

// A text cut into pieces wherever it may be.
std::vector<int32_t> encoded_in_pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const size_t cut = tokenizer.safe_cut(text, 1);
    tokenizer.encode(text.substr(0, cut), ids);
    text.remove_prefix(cut);
  }
  return ids;
}

class HuggingFaceFolder : public testing::TestWithParam<const char*> {};

TEST_P(HuggingFaceFolder, GivesTheIdsOfItsClass) {
  const std::string folder = data_path(std::string("folders/") + GetParam());
  const auto tokenizer = load_tokenizer(folder);
  for (const json& row : lines_of(folder + "/pairs.jsonl")) {
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(text), ids) << row["text"];
    EXPECT_EQ(encoded_in_pieces(*tokenizer, text), ids) << row["text"];
  }
}

INSTANTIATE_TEST_SUITE_P(All, HuggingFaceFolder,
                         testing::Values("qwen2", "added", "opt", "roberta", "flags", "save_model"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TokenizerJson, EverySpellingGivesTheIdsOfTheLibrary) {
  int variants = 0;
  for (const json& row : lines_of(data_path("variants.jsonl"))) {
    json file =
        json::parse(read_text(data_path("small_json/" + row["base"].get<std::string>() + ".json")));
    file.merge_patch(row["patch"]);
    const auto tokenizer = parse_tokenizer_json(file.dump(), "tok.json");
    for (const json& pair : row["pairs"]) {
      const auto text = pair[0].get<std::string>();
      const auto ids = pair[1].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer->encode(text), ids) << row["name"] << pair[0];
      EXPECT_EQ(encoded_in_pieces(*tokenizer, text), ids) << row["name"] << pair[0];
    }
    ++variants;
  }
  EXPECT_EQ(variants, 9);
}

// A folder with the small vocabulary of `name`, to be changed by a test.
class ChangedFolder : public testing::Test {
 protected:
  void copy(const std::string& name) {
    for (const auto& file : std::filesystem::directory_iterator(data_path("folders/" + name)))
      std::filesystem::copy(file.path(), path());
  }
  void write(const std::string& name, const json& value) {
    write_text(folder_ / name, value.dump());
  }
  void change(const std::string& name, const std::string& key, const json& value) {
    json file = json::parse(read_text(folder_ / name));
    file[key] = value;
    write(name, file);
  }
  void refuses(const std::string& words) {
    expect_error(ExitCode::data, words, [&] { load_tokenizer(path()); });
  }
  std::string path() const { return folder_.path(); }
  TemporaryDirectory folder_;
};

TEST_F(ChangedFolder, NamesAllFilesThatItRead) {
  copy("qwen2");
  const auto tokenizer = load_tokenizer(path());
  EXPECT_EQ(tokenizer->files(),
            (std::vector<std::string>{folder_ / "vocab.json", folder_ / "merges.txt",
                                      folder_ / "tokenizer_config.json",
                                      folder_ / "generation_config.json"}));
  EXPECT_NE(tokenizer->description().find("Qwen2 pattern, NFC"), std::string::npos);
}

TEST_F(ChangedFolder, ModelTypeNamesTheClassToo) {
  copy("qwen2");
  const auto by_class = load_tokenizer(path());
  change("tokenizer_config.json", "tokenizer_class", nullptr);
  write("config.json", {{"model_type", "qwen3_moe"}});
  EXPECT_EQ(load_tokenizer(path())->fingerprint(), by_class->fingerprint());
}

TEST_F(ChangedFolder, RefusesByNameWhatWouldChangeIds) {
  copy("qwen2");
  change("tokenizer_config.json", "tokenizer_class", "WhisperTokenizerFast");
  refuses("tokenizer_config.json: tokenizer_class \"WhisperTokenizer\"");
  change("tokenizer_config.json", "tokenizer_class", nullptr);
  write("config.json", {{"model_type", "mixtral"}});
  refuses("config.json: model_type \"mixtral\"");
  change("tokenizer_config.json", "tokenizer_class", "Qwen2TokenizerFast");
  EXPECT_NO_THROW(load_tokenizer(path()));
  for (const char* key : {"add_prefix_space", "do_lower_case", "split_special_tokens"}) {
    change("tokenizer_config.json", key, true);
    refuses(std::string("\"") + key + "\" is true");
    change("tokenizer_config.json", key, false);
  }
  change("tokenizer_config.json", "errors", "strict");
  refuses("\"errors\" is \"strict\"");
  change("tokenizer_config.json", "errors", "replace");
  change("tokenizer_config.json", "added_tokens_decoder", {{"7", {{"content", "<x>"}}}});
  refuses("tokenizer_config.json: added_tokens_decoder \"7\": added token \"<x>\" has id 7");
  write_text(folder_ / "tokenizer_config.json", "{");
  refuses("tokenizer_config.json: is not valid JSON");
}

TEST_F(ChangedFolder, RefusesFilesThatDisagree) {
  copy("qwen2");
  write("added_tokens.json", {{"<|im_end|>", 3}});
  refuses("remove the one that is wrong");
  write("added_tokens.json", {{"<|im_end|>", "3"}});
  refuses("its id is not an integer");
  write("added_tokens.json", {{"<|im_end|>", 558}, {"<more>", 559}});
  EXPECT_EQ(load_tokenizer(path())->encode("<more>"), std::vector<int32_t>{559});
}

// As editors of Windows save them.
TEST_F(ChangedFolder, AByteOrderMarkIsNoPartOfAFile) {
  for (const char* name : {"qwen2", "save_model"}) {
    SCOPED_TRACE(name);
    for (const auto& file : std::filesystem::directory_iterator(path()))
      std::filesystem::remove(file.path());
    copy(name);
    write("added_tokens.json", json::object());
    write("special_tokens_map.json", json::object());
    write("config.json", json::object());
    const uint64_t plain = load_tokenizer(path())->fingerprint();
    for (const auto& file : std::filesystem::directory_iterator(path()))
      write_text(file.path(), "\xEF\xBB\xBF" + read_text(file.path()));
    EXPECT_EQ(load_tokenizer(path())->fingerprint(), plain);
  }
  const std::string json_file = read_text(data_path("small_json/gpt2.json"));
  write_text(folder_ / "t/tokenizer.json", "\xEF\xBB\xBF" + json_file);
  EXPECT_EQ(load_tokenizer(folder_ / "t")->fingerprint(),
            parse_tokenizer_json(json_file, "tok.json")->fingerprint());
}

TEST_F(ChangedFolder, RefusesMergesThatAreNotAllThere) {
  copy("save_model");
  const std::string merges = read_text(folder_ / "merges.txt");
  write_text(folder_ / "merges.txt", "");
  refuses("merges.txt: no merge makes token");
  const size_t last = merges.rfind('\n', merges.size() - 2);
  write_text(folder_ / "merges.txt", merges.substr(0, last + 1));
  refuses("(id 399) of ");
  // A token may stand for itself, if that is said.
  const json vocab = json::parse(read_text(folder_ / "vocab.json"));
  for (const auto& item : vocab.items())
    if (item.value() == 399) write("added_tokens.json", {{item.key(), 399}});
  EXPECT_NO_THROW(load_tokenizer(path()));
}

TEST_F(ChangedFolder, ATokenizerJsonWinsAndItsNeighboursAreHeard) {
  copy("qwen2");
  std::filesystem::copy(data_path("small_json/gpt2.json"), folder_ / "tokenizer.json");
  refuses("does not agree");  // <|endoftext|> is 1256 there
  std::filesystem::remove(folder_ / "tokenizer_config.json");
  std::filesystem::remove(folder_ / "generation_config.json");
  write("special_tokens_map.json", {{"pad_token", "[PAD]"}, {"eos_token", "<|endoftext|>"}});
  for (const std::string& source : {path(), std::string(folder_ / "tokenizer.json")}) {
    const auto tokenizer = load_tokenizer(source);
    EXPECT_EQ(tokenizer->encode("[PAD]"), std::vector<int32_t>{1301});
    EXPECT_EQ(tokenizer->vocab_size(), 1302);
    EXPECT_EQ(tokenizer->files().size(), 2U);
  }
}

TEST(Unicode, Nfc) {
  EXPECT_EQ(nfc("plain\n"), "plain\n");
  EXPECT_EQ(nfc("e\u0301\n\u212b \u1112\u1161\u11ab"), "\u00e9\n\u00c5 \ud55c");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");
  EXPECT_EQ(nfc("\xff"
                "e\u0301\xcc"),
            "\xff\u00e9\xcc");
  EXPECT_EQ(nfc("e\xff\u0301"), "e\xff\u0301");
}

TEST(Unicode, CharactersOfTextEnds) {
  size_t length = 0;
  EXPECT_EQ(last_character("a\u3000", length), U'\u3000');
  EXPECT_EQ(length, 3U);
  EXPECT_EQ(last_character("a\x80", length), U'\ufffd');
  EXPECT_EQ(length, 1U);
  EXPECT_TRUE(is_white_space(U'\u2028'));
  EXPECT_FALSE(is_white_space(U'\u200b'));
  EXPECT_FALSE(is_white_space(0x1C));
  EXPECT_TRUE(is_word_character(U'_'));
  EXPECT_TRUE(is_word_character(U'\u0301'));
  EXPECT_FALSE(is_word_character(U'-'));
}

}  // namespace
}  // namespace troupe
