#include "launch/config/recorded_inputs.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using Inputs = std::vector<RecordedInput>;

std::vector<std::string> told(const Inputs& before, const Inputs& after, const std::string& key) {
  std::vector<std::string> out;
  for (const InputChange& change : input_changes(before, after, key)) {
    out.push_back(change.before + " -> " + change.after);
  }
  return out;
}

TEST(RecordedInputs, ReadBackAsWritten) {
  const Inputs inputs{{"data.tokenizer", "tokenizer", 1, "vocab.json"},
                      {"data.train[0].path", "folder", 0xfedcba9876543210, "\"my: texts\""}};
  const std::string text = "# another line\n" + input_lines(inputs) + "version: 1\n" +
                           "# Input data.val: text 0000000000000001 too late\n";
  EXPECT_EQ(recorded_inputs(text), inputs);
  EXPECT_NE(text.find("# Input data.tokenizer: tokenizer 0000000000000001 vocab.json\n"),
            std::string::npos);
  for (const char* damaged :
       {"# Input \n", "# Input a\n", "# Input a: b\n", "# Input a: b 12 c\n",
        "# Input a: b 000000000000000g c\n", "# Input a: b 0000000000000001\n", ""}) {
    EXPECT_TRUE(recorded_inputs(damaged).empty()) << damaged;
  }
}

TEST(RecordedInputs, BytesCountAndWhatTheyAreReadAsNotNames) {
  const Inputs before{{"data.train", "text", 1, "a.txt"}, {"data.val", "text", 9, "v"}};
  EXPECT_TRUE(told(before, {{"data.train", "text", 1, "b.txt"}}, "data.train").empty());
  EXPECT_EQ(told(before, {{"data.train", "text", 2, "b.txt"}}, "data.train"),
            std::vector<std::string>{"a.txt (fingerprint 0000000000000001) -> b.txt (fingerprint "
                                     "0000000000000002)"});
  EXPECT_EQ(told(before, {{"data.train", "jsonl", 1, "a.jsonl"}}, "data.train"),
            std::vector<std::string>{"a.txt (fingerprint 0000000000000001), read as text -> "
                                     "a.jsonl (fingerprint 0000000000000001), read as jsonl"});
}

TEST(RecordedInputs, AFileThatCameOrWentIsAChange) {
  const RecordedInput vocab{"data.tokenizer", "tokenizer", 1, "vocab.json"};
  const RecordedInput merges{"data.tokenizer", "tokenizer", 2, "merges.txt"};
  const RecordedInput added{"data.tokenizer", "tokenizer", 3, "added_tokens.json"};
  EXPECT_EQ(told({vocab, merges}, {merges, vocab, added}, "data.tokenizer"),
            std::vector<std::string>{"(absent) -> added_tokens.json (fingerprint "
                                     "0000000000000003)"});
  EXPECT_EQ(told({vocab, merges, added}, {vocab, merges}, "data.tokenizer").size(), 1U);
  const RecordedInput others{"data.tokenizer", "tokenizer", 4, "merges.txt"};
  EXPECT_EQ(told({vocab, merges}, {vocab, others}, "data.tokenizer"),
            std::vector<std::string>{"merges.txt (fingerprint 0000000000000002) -> merges.txt "
                                     "(fingerprint 0000000000000004)"});
}

}  // namespace
}  // namespace troupe
