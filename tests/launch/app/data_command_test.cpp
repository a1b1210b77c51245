#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "launch/app/command_table.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::expect_error;
using test::TemporaryDirectory;
using test::write_text;

// Standard output of a call that must succeed.
std::string run(const std::vector<std::string>& args) {
  testing::internal::CaptureStdout();
  int code = -1;
  try {
    code = find_command("data")->run(args);
  } catch (const Error& error) {
    ADD_FAILURE() << error.what();
  }
  EXPECT_EQ(code, 0);
  return testing::internal::GetCapturedStdout();
}

const std::string kTokenizer =
    std::string(TROUPE_SOURCE_DIR) + "/tests/core/text/data/small_json/gpt2.json";

TEST(DataCommand, BuildsInspectsAndVerifies) {
  const TemporaryDirectory folder;
  write_text(folder / "r.jsonl", "{\"body\": \"the cat\\tsat\"}\n{\"body\": \"on the mat\\n\"}\n");
  const std::string prefix = folder / "out/data";
  const auto built =
      nlohmann::json::parse(run({"build", folder / "r.jsonl", "--tokenizer", kTokenizer,
                                 "--out=" + prefix, "--field", "body", "--json"}));
  EXPECT_EQ(built.at("documents"), 2);
  EXPECT_EQ(built.at("type"), "u16");
  EXPECT_EQ(built.at("vocab"), 1301);

  const std::string text = run({"inspect", prefix});
  EXPECT_NE(text.find("2 documents"), std::string::npos) << text;
  EXPECT_NE(text.find("the| c|at|\\t|s|at|<|endoftext|>"), std::string::npos) << text;
  EXPECT_NE(text.find("\\n"), std::string::npos) << text;
  const auto shown = nlohmann::json::parse(
      run({"inspect", prefix + ".idx", "--json", "--samples", "1", "--tokens", "3"}));
  EXPECT_EQ(shown.at("samples").size(), 1U);
  EXPECT_EQ(shown.at("samples")[0].at("text"), "the cat");
  EXPECT_EQ(shown.at("samples")[0].at("ids").size(), 3U);

  const auto verified =
      nlohmann::json::parse(run({"verify", prefix, "--tokenizer", kTokenizer, "--json"}));
  EXPECT_EQ(verified.at("ok"), true);
  EXPECT_EQ(verified.at("hash_checked"), true);
  EXPECT_EQ(verified.at("largest_id"), 1256);
  EXPECT_NE(run({"verify", prefix}).find("good."), std::string::npos);
  expect_error(ExitCode::data, "another tokenizer", [&] {
    find_command("data")->run(std::vector<std::string>{"verify", prefix, "--tokenizer", "byte"});
  });
}

// Ids of llm.c are known by their header, bare ones by --raw; the tokenizer may be left open.
TEST(DataCommand, TakesTokenIds) {
  const TemporaryDirectory folder;
  const auto words = [](const std::vector<int32_t>& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  };
  std::vector<int32_t> header(256, 0);
  header[0] = 20240520;
  header[1] = 1;
  header[2] = 4;
  write_text(folder / "llm.bin", words(header) + words({5 + (6 << 16), 1256 + (7 << 16)}));
  write_text(folder / "bare.bin", words({5 + (6 << 16), 1256 + (7 << 16)}));
  const std::string prefix = folder / "out";
  for (const std::vector<std::string>& input :
       {std::vector<std::string>{folder / "llm.bin"},
        std::vector<std::string>{folder / "bare.bin", "--raw", "u16"}}) {
    std::vector<std::string> line{"build", "--tokenizer", kTokenizer, "--out", prefix, "--json"};
    line.insert(line.begin() + 1, input.begin(), input.end());
    const auto built = nlohmann::json::parse(run(line));
    EXPECT_EQ(built.at("tokens"), 4);
    EXPECT_EQ(built.at("documents"), 2);  // 1256 is its end-of-text token
    EXPECT_EQ(built.at("vocab"), 1301);
    EXPECT_NE(run({"verify", prefix, "--tokenizer", kTokenizer}).find("good."), std::string::npos);
  }
  const auto bare = nlohmann::json::parse(
      run({"build", folder / "bare.bin", "--raw=u32", "--out", prefix, "--json"}));
  EXPECT_EQ(bare.at("tokens"), 2);
  EXPECT_EQ(bare.at("type"), "i32");
  const auto refuses = [&](ExitCode code, const std::string& text,
                           const std::vector<std::string>& args) {
    expect_error(code, text, [&] { find_command("data")->run(args); });
  };
  refuses(ExitCode::usage, "--separator is for texts",
          {"build", folder / "bare.bin", "--raw", "u16", "--out", prefix, "--separator", "x"});
  refuses(ExitCode::usage, "--skip-bad-rows is for texts",
          {"build", folder / "llm.bin", "--out", prefix, "--skip-bad-rows"});
  refuses(ExitCode::usage, "--raw u8: must be u16 or u32",
          {"build", folder / "bare.bin", "--raw", "u8", "--out", prefix});
  refuses(ExitCode::usage, "build them apart",
          {"build", folder / "llm.bin", folder / "bare.bin", "--out", prefix});
  refuses(ExitCode::data, "outside the vocabulary",
          {"build", folder / "llm.bin", "--tokenizer", "byte", "--out", prefix});
}

TEST(DataCommand, TellsUsageFromDataErrors) {
  const TemporaryDirectory folder;
  write_text(folder / "a.txt", "text");
  const auto refuses = [&](ExitCode code, const std::string& words,
                           const std::vector<std::string>& args) {
    expect_error(code, words, [&] { find_command("data")->run(args); });
  };
  refuses(ExitCode::usage, "name an action: build, inspect, verify", {});
  refuses(ExitCode::usage, "no action 'make'; there are build, inspect, verify", {"make"});
  refuses(ExitCode::usage, "did you mean inspect?", {"inspct", "x"});
  refuses(ExitCode::usage, "--tokenizer is missing", {"build", folder / "a.txt", "--out", "x"});
  refuses(ExitCode::usage, "--out is missing", {"build", folder / "a.txt", "--tokenizer", "byte"});
  refuses(ExitCode::usage, "IN... is missing",
          {"build", "--tokenizer", "byte", "--out", folder / "x"});
  refuses(ExitCode::usage, "unknown option --outt; did you mean --out?", {"build", "--outt", "x"});
  refuses(ExitCode::usage, "argument for option '--out' is missing", {"build", "--out"});
  refuses(ExitCode::usage, "cannot be specified more than once",
          {"build", "--out", "x", "--out=y"});
  refuses(ExitCode::usage, "PREFIX|TEXT is missing", {"inspect"});
  refuses(ExitCode::data, "does not exist",
          {"build", folder / "none.txt", "--tokenizer", "byte", "--out", folder / "x"});
  refuses(ExitCode::data, "does not exist",
          {"build", folder / "a.txt", "--tokenizer", "none", "--out", folder / "x"});
  refuses(ExitCode::data, "there is no", {"verify", folder / "x"});
  refuses(ExitCode::resource, "cannot be made",
          {"build", folder / "a.txt", "--tokenizer", "byte", "--out", folder / "a.txt/d"});
  EXPECT_NE(run({"--help"}).find("usage: troupe data build"), std::string::npos);
  EXPECT_NE(run({"inspect", "--help"}).find("--samples N"), std::string::npos);
  run({"build", folder / "a.txt", "--tokenizer", "byte", "--out", folder / "d"});
  refuses(ExitCode::usage, "--samples -1: must be 0", {"inspect", folder / "d", "--samples", "-1"});
}

TEST(DataCommand, SaysWhatATextIsTakenFor) {
  const TemporaryDirectory folder;
  write_text(folder / "t/a.json", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  write_text(folder / "t/b.txt", "three");
  EXPECT_NE(run({"inspect", folder / "t/a.json"}).find("JSON lines, 2 documents with 6 bytes"),
            std::string::npos);
  const auto seen = nlohmann::json::parse(run({"inspect", folder / "t", "--json"}));
  EXPECT_EQ(seen.at("holds"), "1 files of text, 1 of JSON lines");
  EXPECT_EQ(seen.at("documents"), 3);
  EXPECT_NE(run({"inspect", folder / "t/a.json", "--format", "text"}).find("text, 1 documents"),
            std::string::npos);
  expect_error(ExitCode::usage, "\"json\" is no format of text", [&] {
    find_command("data")->run(
        std::vector<std::string>{"inspect", folder / "t", "--format", "json"});
  });
}

}  // namespace
}  // namespace troupe
