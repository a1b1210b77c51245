// A run learns from the same bytes to its end, wherever they lie.
#include <algorithm>
#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Inputs : public TinyRun {
 protected:
  // Refused because of `what`, with code 2 and two fingerprints.
  void expect_refused(const std::vector<std::string>& words, const std::string& what) const {
    const Outcome outcome = run(alone(words));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << what << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find("--force"), std::string::npos) << outcome.err;
  }
  static void expect_word(const Outcome& outcome, const std::string& word) {
    EXPECT_NE(outcome.err.find(word), std::string::npos) << word << "\n" << outcome.err;
  }
  void expect_good(const std::vector<std::string>& words) const {
    const Outcome outcome = run(alone(words));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
  // As many bytes, other ones.
  void change(const std::string& file) const {
    std::string text = read_text(path(file));
    std::replace(text.begin(), text.end(), 'e', 'o');
    write_text(path(file), text);
  }
  static std::vector<std::string> with(std::vector<std::string> words, const std::string& word) {
    words.push_back(word);
    return words;
  }
};

TEST_F(Inputs, AChangedTextIsRefusedUnlessForced) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=4"}))).code, 0);
  const std::string line = "\n# Input data.train: text ";
  EXPECT_NE(read_text(path("run") + "/config.resolved.yaml").find(line), std::string::npos);
  EXPECT_NE(read_text(checkpoint("run", 4)).find(line), std::string::npos);
  const std::vector<std::string> more = train("run", {"train.steps=6"});
  const std::string text = read_text(path("text.txt"));
  change("text.txt");
  expect_refused(more, "data.train: was text.txt (fingerprint ");
  const Outcome two = run(under_mpirun(2, more));
  EXPECT_EQ(two.code, 2) << two.err;
  EXPECT_EQ(occurrences(two.err, "data.train: was text.txt (fingerprint "), 1) << two.err;
  expect_refused({"eval", path("run")}, "data.train: was text.txt (fingerprint ");
  expect_good({"eval", path("run"), "--force"});
  expect_good({"eval", path("run"), "--text", path("text.txt")});
  expect_good({"generate", path("run"), "--tokens", "3", "--prompt", "a"});
  EXPECT_FALSE(fs::exists(checkpoint("run", 6)));
  expect_good(with(more, "--force"));
  // From now on that text is the run's.
  expect_good(train("run", {"train.steps=8"}));
  write_text(path("text.txt"), text);
  expect_refused(train("run", {"train.steps=10"}), "data.train: was text.txt (fingerprint ");
}

TEST_F(Inputs, TheSameBytesElsewhereGoOn) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=4"}))).code, 0);
  fs::create_directories(path("other"));
  fs::rename(path("text.txt"), path("other/a book.txt"));
  expect_good(train("run", {"train.steps=6", "data.train=" + path("other/a book.txt")}));
  expect_good({"eval", path("run")});
}

TEST_F(Inputs, TheSameBytesReadAsSomethingElseAreOthers) {
  std::string rows;
  for (int i = 0; i < 30; ++i) rows += "{\"text\": \"a row of words, long enough to learn\"}\n";
  write_text(path("rows.jsonl"), rows);
  fs::create_directories(path("folder"));
  write_text(path("folder/rows.jsonl"), rows);
  const std::string file = "data.train=" + path("rows.jsonl");
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", file}))).code, 0);
  expect_refused(train("run", {"train.steps=4", "data.train=" + path("folder")}),
                 "data.train: was rows.jsonl (fingerprint ");
}

TEST_F(Inputs, AnotherTokenizerOfEqualSizeIsRefused) {
  fs::create_directories(path("tok"));
  const std::string file = path("tok/tokenizer.json");
  auto tokenizer = nlohmann::ordered_json::parse(
      read_text(TROUPE_SOURCE_DIR "/tests/core/text/data/small_json/gpt2.json"));
  write_text(file, tokenizer.dump());
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", "data.tokenizer=" + path("tok")}))).code, 0);
  const std::vector<std::string> more =
      train("run", {"train.steps=4", "data.tokenizer=" + path("tok")});
  // The same file, named itself or copied.
  fs::copy(file, path("my.json"));
  expect_good(train("run", {"train.steps=3", "data.tokenizer=" + path("my.json")}));

  auto& vocab = tokenizer["model"]["vocab"];
  std::swap(vocab["e"], vocab["t"]);
  const auto size = fs::file_size(file);
  for (const std::string& changed : {file, path("my.json")}) write_text(changed, tokenizer.dump());
  ASSERT_EQ(fs::file_size(file), size);
  const std::string what = "data.tokenizer: was my.json (fingerprint ";
  expect_refused(more, what);
  expect_refused({"eval", path("run")}, what);
  expect_refused({"eval", path("run"), "--text", path("text.txt")}, what);
  const std::vector<std::string> write{"generate", path("run"), "--tokens", "3", "--prompt", "a"};
  expect_refused(write, what);
  expect_good({"eval", path("run"), "--force"});
  expect_good(with(write, "--force"));
  expect_good(with(more, "--force"));
}

// Nor may what does not fit the model hide that it is another one.
TEST_F(Inputs, ATokenizerThatDoesNotFitIsNamedAsAnotherOne) {
  const std::string folders = TROUPE_SOURCE_DIR "/tests/core/text/data/folders/";
  fs::copy(folders + "qwen2", path("tok"));
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", "data.tokenizer=" + path("tok")}))).code, 0);
  fs::remove_all(path("tok"));
  fs::copy(folders + "opt", path("tok"));
  const std::vector<std::string> write{"generate", path("run"), "--tokens", "3"};
  for (const auto& words :
       {std::vector<std::string>{"eval", path("run")}, write, with(write, "--force")}) {
    const Outcome outcome = run(alone(words));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    expect_word(outcome, "data.tokenizer: was vocab.json (fingerprint ");
    expect_word(outcome, "has no token \"<|im_end|>\"");
  }
}

TEST_F(Inputs, OfAFolderEachFileAndNameCounts) {
  fs::create_directories(path("texts/b"));
  const std::string text = read_text(path("text.txt"));
  write_text(path("texts/a.txt"), text);
  write_text(path("texts/b/c.txt"), text + "the end");
  const std::string folder = "data.train=" + path("texts");
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", folder}))).code, 0);
  fs::rename(path("texts"), path("moved"));
  expect_good(train("run", {"train.steps=3", "data.train=" + path("moved")}));
  fs::rename(path("moved"), path("texts"));
  const std::string what = "data.train: was moved (fingerprint ";
  fs::rename(path("texts/a.txt"), path("texts/d.txt"));
  expect_refused(train("run", {"train.steps=4", folder}), what);
  fs::rename(path("texts/d.txt"), path("texts/a.txt"));
  write_text(path("texts/e.txt"), "one more");
  expect_refused(train("run", {"train.steps=4", folder}), what);
  fs::remove(path("texts/e.txt"));
  expect_good(train("run", {"train.steps=4", folder}));
}

TEST_F(Inputs, SourcesOfAListAreComparedByPosition) {
  write_text(path("b.txt"), read_text(path("text.txt")) + "of the king");
  const auto list = [&](const std::string& first, const std::string& second) {
    return "data.train=[{path: " + path(first) + ", weight: 1}, {path: " + path(second) +
           ", weight: 1}]";
  };
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", list("text.txt", "b.txt")}))).code, 0);
  const std::vector<std::string> turned =
      train("run", {"train.steps=4", list("b.txt", "text.txt")});
  expect_refused(turned, "data.train[0].path: was text.txt (fingerprint ");
  expect_refused(turned, "data.train[1].path: was b.txt (fingerprint ");
  change("b.txt");
  const Outcome second = run(alone(train("run", {"train.steps=4", list("text.txt", "b.txt")})));
  EXPECT_EQ(second.code, 2) << second.err;
  EXPECT_EQ(occurrences(second.err, "(fingerprint "), 2) << second.err;
}

TEST_F(Inputs, TokenFilesAreKnownByTheirHashAndAnOverwrittenOneIsFound) {
  const auto build = [&](const std::string& prefix) {
    return run(
        alone({"data", "build", path("text.txt"), "--tokenizer", "byte", "--out", path(prefix)}));
  };
  ASSERT_EQ(build("tokens").code, 0);
  const std::string data = "data.train=" + path("tokens");
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", data}))).code, 0);
  // Built again elsewhere: the same bytes.
  ASSERT_EQ(build("again").code, 0);
  expect_good(train("run", {"train.steps=3", "data.train=" + path("again")}));
  change("again.bin");
  expect_refused(train("run", {"train.steps=4", "data.train=" + path("again")}),
                 "data.train: was again (fingerprint ");
  // Also where nothing is known of the file but what the build said of it.
  expect_refused(train("other", {"train.steps=4", "data.train=" + path("again"),
                                 "checkpoint.resume=" + path("run")}),
                 "data.train: was again (fingerprint ");
  expect_good(train("run", {"train.steps=4", data}));
}

// A text whose held-out part comes from elsewhere does not matter to its evaluation.
TEST_F(Inputs, AnEvaluationAsksForWhatItReads) {
  write_text(path("val.txt"), read_text(path("text.txt")).substr(0, 900));
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", "data.val=" + path("val.txt"),
                                    "data.val_fraction=0"})))
                .code,
            0);
  change("text.txt");
  expect_good({"eval", path("run")});
  change("val.txt");
  expect_refused({"eval", path("run")}, "data.val: was val.txt (fingerprint ");
}

}  // namespace
}  // namespace troupe::program
