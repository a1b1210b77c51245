#include "launch/app/command_line.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/launch/run_dir.h"

namespace troupe {
namespace {

CommandLine syntax() {
  CommandLine line("try", "FILE [options]", "Tries.");
  line.option("ranks,n", "N", "1", "ranks").flag("json", "JSON").positionals(1, 2);
  return line;
}

Arguments parse(const std::vector<std::string>& words) { return *syntax().parse(words); }

std::string misuse(const CommandLine& line, const std::vector<std::string>& words) {
  try {
    line.parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

TEST(CommandLine, OptionsAndWordsInAnyOrder) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"file", "-n", "3", "--json"},
        std::vector<std::string>{"--json", "--ranks=3", "file"},
        std::vector<std::string>{"--ranks", "3", "--json", "--", "file"}}) {
    const Arguments arguments = parse(words);
    EXPECT_EQ(arguments.positionals, std::vector<std::string>{"file"});
    EXPECT_EQ(arguments.integer("ranks", 1), 3);
    EXPECT_TRUE(arguments.flag("json"));
    EXPECT_TRUE(arguments.given("ranks"));
  }
  EXPECT_FALSE(parse({"file"}).given("ranks"));
  EXPECT_EQ(parse({"file"}).integer("ranks", 1), 1);
  EXPECT_EQ(parse({"file", "model.window=-1"}).positionals[1], "model.window=-1");
}

// A prompt may begin with a dash.
TEST(CommandLine, ValuesMayLookLikeOptions) {
  for (const char* value : {"- item", "-x y", "--json", "-1", "--"}) {
    EXPECT_EQ(parse({"file", "--ranks", value}).text("ranks"), value);
    EXPECT_EQ(parse({"-n", value, "file"}).positionals, std::vector<std::string>{"file"});
  }
  EXPECT_NE(misuse(syntax(), {"file", "--json", "-x y"}).find("unknown option"), std::string::npos);
}

TEST(CommandLine, Misuse) {
  EXPECT_NE(misuse(syntax(), {"file", "--jsn"}).find("did you mean --json"), std::string::npos);
  EXPECT_NE(misuse(syntax(), {}).find("FILE is missing"), std::string::npos);
  EXPECT_NE(misuse(syntax(), {"a", "b", "c"}).find("unexpected 'c'"), std::string::npos);
  EXPECT_NE(misuse(syntax(), {"a", "-n"}).find("usage: troupe try"), std::string::npos);
  EXPECT_NE(misuse(syntax(), {"a", "-x"}).find("unknown option -x"), std::string::npos);
  EXPECT_THROW(parse({"a", "-n", "0"}).integer("ranks", 1), Error);
  EXPECT_THROW(parse({"a", "-n", "1x"}).integer("ranks", 1), Error);
  EXPECT_THROW(parse({"a", "-n", "nan"}).real("ranks", 0, 1), Error);
}

// An empty prompt is a prompt; an empty name of a file is none.
TEST(CommandLine, EmptyValues) {
  CommandLine line("try", "FILE [options]", "Tries.");
  line.option("prompt,p", "TEXT", "hello", "text")
      .may_be_empty()
      .option("out", "FILE", "a.txt", "where")
      .flag("json", "JSON")
      .positionals(1, 1);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--prompt=", "file"},
        std::vector<std::string>{"--prompt", "", "file"},
        std::vector<std::string>{"file", "--json", "--prompt="},
        std::vector<std::string>{"file", "-p", ""},
        std::vector<std::string>{"--prompt", "", "--json", "file"}}) {
    const Arguments arguments = *line.parse(words);
    EXPECT_TRUE(arguments.given("prompt"));
    EXPECT_EQ(arguments.text("prompt"), "");
    EXPECT_EQ(arguments.text("out"), "a.txt");
    EXPECT_EQ(arguments.positionals, std::vector<std::string>{"file"});
  }
  EXPECT_EQ(line.parse(std::vector<std::string>{"file"})->text("prompt"), "hello");
  EXPECT_EQ(line.parse(std::vector<std::string>{"file", "--prompt=a=b #c"})->text("prompt"),
            "a=b #c");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"file", "--out="},
                                                std::vector<std::string>{"file", "--out", ""}}) {
    EXPECT_NE(misuse(line, words).find("try: --out is empty; give FILE"), std::string::npos)
        << misuse(line, words);
  }
  EXPECT_NE(misuse(line, {"file", "--prompt"}).find("usage: troupe try"), std::string::npos);
}

TEST(CommandLine, NumbersThatAreNone) {
  const auto number = [](const std::string& text, bool whole) -> std::string {
    try {
      const Arguments arguments = parse({"file", "--ranks", text});
      if (whole) {
        arguments.integer("ranks", 1, 9);
      } else {
        arguments.real("ranks", 0, 1);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(number("1e3", true), "--ranks 1e3: not a whole number");
  EXPECT_EQ(number("18446744073709551615", true),
            "--ranks 18446744073709551615: out of range; must be 1 to 9");
  EXPECT_EQ(number("10", true), "--ranks 10: must be 1 to 9; nearest legal value: 9");
  EXPECT_EQ(number("nan", false), "--ranks nan: not a number");
  EXPECT_EQ(number("inf", false), "--ranks inf: must be 0 to 1; nearest legal value: 1");
}

TEST(CommandLine, SaysWhatIsMissing) {
  EXPECT_NE(misuse(syntax(), {}).find("try: FILE is missing"), std::string::npos)
      << misuse(syntax(), {});
  CommandLine line("start", "[-n N] [--] COMMAND ...", "Starts.");
  line.positionals(1, 2);
  EXPECT_NE(misuse(line, {}).find("COMMAND is missing"), std::string::npos) << misuse(line, {});
  CommandLine two("diff", "A B [options]", "Compares.");
  two.positionals(2, 2);
  EXPECT_NE(misuse(two, {"a.h5"}).find("B is missing"), std::string::npos) << misuse(two, {"a.h5"});
}

TEST(CommandLine, TheRestBelongsToAnotherCommand) {
  CommandLine line("outer", "[-n N] [--] COMMAND ...", "Starts.");
  line.option("ranks,n", "N", "", "ranks").positionals(1, SIZE_MAX).rest_is_positional();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-n", "2", "train", "c.yaml", "--force"},
        std::vector<std::string>{"-n", "2", "--", "train", "c.yaml", "--force"}}) {
    const Arguments arguments = *line.parse(words);
    EXPECT_EQ(arguments.integer("ranks", 1), 2);
    EXPECT_EQ(arguments.positionals, (std::vector<std::string>{"train", "c.yaml", "--force"}));
  }
  EXPECT_NE(misuse(line, {"--rank", "2", "train"}).find("did you mean --ranks"), std::string::npos);
}

TEST(CommandLine, ConfigurationAndOverrides) {
  const ConfigWords words = config_words({"a.yaml", "b.c=1", "d=[x=1]"});
  EXPECT_EQ(words.file, "a.yaml");
  EXPECT_EQ(words.overrides, (std::vector<std::string>{"b.c=1", "d=[x=1]"}));
  const testing::RunDir folder;
  const std::string file = (folder.path() / "lr=0.1.yaml").string();
  testing::write_text(file, "version: 1\n");
  EXPECT_EQ(config_words({file, "b=" + file}).file, file);
  EXPECT_THROW(config_words({"a=1"}), Error);
  EXPECT_THROW(config_words({"a.yaml", "b.yaml"}), Error);
}

}  // namespace
}  // namespace troupe
