// Texts as users have them: compressed, JSON lines under any name, not all of it text.
#include <zlib.h>

#include <filesystem>
#include <sstream>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Text : public TinyRun {
 protected:
  void pack(const std::string& from, const std::string& to) const {
    const std::string text = read_text(path(from));
    const gzFile file = gzopen(path(to).c_str(), "wb");
    ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
              static_cast<int>(text.size()));
    gzclose(file);
  }
  // Some rows of the text; their own texts are what is left when the JSON is gone.
  void write_rows(const std::string& name) const {
    std::istringstream words(read_text(path("text.txt")));
    std::string rows;
    for (std::string line; std::getline(words, line);)
      rows += json({{"text", line}, {"n", 1}}).dump() + "\n";
    write_text(path(name), rows);
  }
  void expect_refusal(const std::string& text, const std::vector<std::string>& words) const {
    const Outcome outcome = run(alone(words));
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
  }
};

TEST_F(Text, CompressedTextTrainsAsTheTextItself) {
  pack("text.txt", "packed.txt.gz");
  const std::vector<std::string> keys{"train.steps=4"};
  ASSERT_EQ(run(alone(train("plain", keys))).code, 0);
  const Outcome outcome =
      run(alone(train("packed", {"train.steps=4", "data.train=" + path("packed.txt.gz")})));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // The files are called differently; what was learned is the same.
  const Outcome diff =
      run(alone({"ckpt", "diff", checkpoint("plain", 4), checkpoint("packed", 4)}));
  EXPECT_NE(diff.out.find("tensors are equal in every bit"), std::string::npos) << diff.out;
  const Outcome one = run(alone({"eval", path("plain"), "--text", path("text.txt"), "--json"}));
  const Outcome two =
      run(alone({"eval", path("plain"), "--text", path("packed.txt.gz"), "--json"}));
  EXPECT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(one.out, two.out);
}

TEST_F(Text, WhatIsNoTextIsRefusedByEveryCommand) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=4"}))).code, 0);
  write_text(path("x.pdf"), "%PDF-1.7\n\x01\x02");
  const std::string words = "x.pdf: is no text; it seems to be a PDF document";
  expect_refusal(words, train("other", {"data.train=" + path("x.pdf")}));
  expect_refusal(words, train("other", {"data.val=" + path("x.pdf"), "data.val_fraction=0"}));
  expect_refusal(words, {"eval", path("run"), "--text", path("x.pdf")});
  expect_refusal(words, {"data", "inspect", path("x.pdf")});
  expect_refusal(words,
                 {"data", "build", path("x.pdf"), "--tokenizer", "byte", "--out", path("o")});
  expect_refusal(words, {"bench", "tokenizer", "byte", "--text", path("x.pdf")});
  EXPECT_EQ(run(alone({"data", "build", path("x.pdf"), "--tokenizer", "byte", "--out", path("o"),
                       "--invalid-utf8", "keep"}))
                .code,
            0);
}

// A message calls a setting as it was written: by its key, or by the flag of the command.
TEST_F(Text, MessagesNameWhatTheUserCanWrite) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=2"}))).code, 0);
  write_text(path("x.pdf"), "%PDF-1.7\n\x01\x02");
  write_text(path("body.json"), "{\"body\": \"a\"}\n{\"body\": \"b\"}\n");
  const std::string gpt2 = TROUPE_SOURCE_DIR "/tests/core/text/data/small_json/gpt2.json";
  const auto build = [&](const std::string& file, const std::string& tokenizer,
                         const std::vector<std::string>& options) {
    std::vector<std::string> words{"data",    "build", path(file), "--tokenizer",
                                   tokenizer, "--out", path("o")};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  };
  const auto expect_flags = [&](const std::string& flag, const std::vector<std::string>& words) {
    const Outcome outcome = run(alone(words));
    EXPECT_GE(occurrences(outcome.err, flag), 1) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "data."), 0) << outcome.err;
  };
  const std::string keep = "--invalid-utf8 keep, written out";
  expect_flags(keep, {"eval", path("run"), "--text", path("x.pdf")});
  expect_flags(keep, {"data", "inspect", path("x.pdf")});
  expect_flags(keep, build("x.pdf", "byte", {}));
  expect_flags("(--field); --format text", {"eval", path("run"), "--text", path("body.json")});
  expect_flags("(--field); --format text", build("body.json", "byte", {}));
  expect_flags("--end-of-text names one, --separator",
               build("body.json", "byte", {"--field", "body"}));
  expect_flags("--separator is \"\\n\", but",
               build("body.json", gpt2, {"--field", "body", "--separator", "\\n"}));
  expect_flags("which --end-of-text names", build("body.json", gpt2, {"--end-of-text", "<x>"}));
  const Outcome trained = run(alone(train("other", {"data.train=" + path("body.json")})));
  EXPECT_EQ(occurrences(trained.err, "(data.field); data.format: text"), 1) << trained.err;
  EXPECT_EQ(occurrences(trained.err, "--f"), 0) << trained.err;
}

TEST_F(Text, RowsAreReadUnderAnyName) {
  write_rows("rows.json");
  pack("rows.json", "rows.gz");
  for (const char* name : {"rows.json", "rows.gz"}) {
    const Outcome outcome = run(alone({"data", "inspect", path(name), "--json"}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json seen = json::parse(outcome.out);
    EXPECT_EQ(seen["bytes"].get<int64_t>() + seen["documents"].get<int64_t>() - 1,
              static_cast<int64_t>(read_text(path("text.txt")).size()))
        << outcome.out;
  }
}

TEST_F(Text, BadRowsAreSkippedAndCounted) {
  write_text(path("r.jsonl"), "{\"text\": \"a\", \"n\": NaN}\n{\"text\": \"b\\ud800\"}\n");
  const std::vector<std::string> words{"data", "build", path("r.jsonl"), "--tokenizer",
                                       "byte", "--out", path("o")};
  expect_refusal("r.jsonl:2:18: the row has half a surrogate pair", words);
  std::vector<std::string> skipping = words;
  skipping.push_back("--skip-bad-rows");
  const Outcome outcome = run(alone(skipping));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("1 bad rows were left out:\n  "), std::string::npos) << outcome.out;
  EXPECT_EQ(json::parse(read_text(path("o.meta.json")))["skipped_rows"], 1);
}

// A run that began before data.format was a key took its text by the names of files.
TEST_F(Text, ARunFromBeforeGoesOnAsItBegan) {
  write_rows("rows.json");
  const std::string text = "data.train=" + path("rows.json");
  ASSERT_EQ(run(alone(train("old", {text, "data.format=by_name", "train.steps=4"}))).code, 0);
  std::istringstream lines(read_text(path("old/config.resolved.yaml")));
  std::string without;
  for (std::string line; std::getline(lines, line);)
    if (line.find("by_name") == std::string::npos) without += line + "\n";
  write_text(path("old/config.resolved.yaml"), without);
  const Outcome outcome = run(alone(train("old", {text, "train.steps=8"})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "the run began before data.format was a key"), 1)
      << outcome.err;
  EXPECT_NE(read_text(path("old/config.resolved.yaml")).find("format: by_name"), std::string::npos);
  // And is refused where another way is written.
  const Outcome other = run(alone(train("old", {text, "train.steps=9", "data.format=auto"})));
  EXPECT_EQ(other.code, 2) << other.err;
}

}  // namespace
}  // namespace troupe::program
