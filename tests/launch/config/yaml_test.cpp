#include "launch/config/yaml.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe {
namespace {

YamlNode parse(const std::string& text) { return parse_yaml(text, Source::file); }

// "line:column rule" of the refusal.
std::string refused(const std::string& text) {
  try {
    parse(text);
  } catch (const YamlError& error) {
    const Problem& problem = error.problem();
    return std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column) + " " +
           problem.rule;
  }
  return "accepted";
}

bool starts_with(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

TEST(Yaml, PositionsAndOrder) {
  const YamlNode root = parse("b: 1\na:\n  - x\n  - 'y'\n");
  ASSERT_TRUE(root.is_mapping());
  EXPECT_EQ(root.keys, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(root.key_places[1].line, 2);
  EXPECT_EQ(root.items[0].place.column, 4);
  const YamlNode& list = root.items[1];
  ASSERT_EQ(list.items.size(), 2U);
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_EQ(list.items[1].place.line, 4);
}

TEST(Yaml, DuplicatesStayVisible) {
  const YamlNode root = parse("a: 1\na: 2\n");
  EXPECT_EQ(root.keys.size(), 2U);
  EXPECT_EQ(root.find("a")->text, "1");
}

TEST(Yaml, Refusals) {
  EXPECT_TRUE(starts_with(refused("a: 1\n---\nb: 2\n"), "2:1 a second document"))
      << refused("a: 1\n---\nb: 2\n");
  EXPECT_TRUE(starts_with(refused("a:\n\tb: 1\n"), "2:1 a tab"));
  EXPECT_TRUE(starts_with(refused("a: \x01\n"), "1:4 a control character"));
  EXPECT_TRUE(starts_with(refused("a: [1, 2\n"), "2:1 YAML cannot be read here"));
  EXPECT_TRUE(starts_with(refused("[a, b]: 1\n"), "1:1 a list or a mapping stands where a key"));
  EXPECT_TRUE(starts_with(refused("? {a: 1}\n: 2\n"), "1:3 a list or a mapping stands"));
  EXPECT_TRUE(starts_with(refused("a: *b\n"), "1:"));
  EXPECT_TRUE(starts_with(refused("a: &x [1, *x]\n"), "1:11 an alias stands inside"));
  EXPECT_TRUE(starts_with(refused(": 1\n"), "1:"));
}

TEST(Yaml, OnlyUtf8) {
  EXPECT_EQ(refused("a: 1\nb: x\xff\n"), "2:5 byte 0xff is not UTF-8");
  EXPECT_EQ(refused("\x80"), "1:1 byte 0x80 is not UTF-8");
  EXPECT_EQ(refused("a: \"\xc3\"\n"), "1:5 byte 0xc3 is not UTF-8");
  EXPECT_TRUE(starts_with(refused(std::string("\xff\xfe"
                                              "a\0:\0",
                                              6)),
                          "1:1 the text is UTF-16"));
  EXPECT_EQ(parse("\xef\xbb\xbf"
                  "a: \xc3\xa9\n")
                .find("a")
                ->text,
            "\xc3\xa9");
}

TEST(Yaml, LineEndsOfOtherSystems) {
  const YamlNode root = parse("a: 1\r\nb: {c: 2}\r\n\r\nd: x\r");
  EXPECT_EQ(root.find("a")->text, "1");
  EXPECT_EQ(root.find("b")->find("c")->text, "2");
  EXPECT_EQ(root.find("d")->text, "x");
  EXPECT_EQ(root.key_places[2].line, 4);
}

TEST(Yaml, ComplaintsSayWhatToLookFor) {
  const auto fix = [](const std::string& text) {
    try {
      parse(text);
    } catch (const YamlError& error) {
      return error.problem().fix;
    }
    return std::string("accepted");
  };
  EXPECT_TRUE(starts_with(fix("a: {b: 1\n"), "a '{' is not closed"));
  EXPECT_TRUE(starts_with(fix("a: {b: 1 c: 2}\n"), "a '{' is not closed, or a comma"));
  EXPECT_TRUE(starts_with(fix("a: [1, 2\n"), "a '[' is not closed"));
  EXPECT_TRUE(starts_with(fix("a:\n  b: 1\n   c: 2\n"), "check the indentation"));
  EXPECT_TRUE(starts_with(fix("a: *b\n"), "write the value out"));
}

TEST(Yaml, LimitsOnDepthSizeAndAliases) {
  std::string deep = "a: ";
  deep += std::string(40, '[') + std::string(40, ']');
  EXPECT_NE(refused(deep).find("nested deeper than 32"), std::string::npos) << refused(deep);
  EXPECT_NE(refused("a: " + std::string(kMaxYamlBytes, 'x')).find("more than a configuration"),
            std::string::npos);
  // Ten levels of ten aliases each would be 10^10 values.
  std::string bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i <= 10; ++i) {
    bomb += "l" + std::to_string(i) + ": &l" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ", *l" : "*l") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(refused(bomb).find("more than 20000 values"), std::string::npos);
}

TEST(Yaml, AliasesAreCopies) {
  const YamlNode root = parse("a: &x {b: 1}\nc: *x\n");
  ASSERT_TRUE(root.find("c")->is_mapping());
  EXPECT_EQ(root.find("c")->find("b")->text, "1");
  EXPECT_EQ(root.find("c")->place.line, 2);
}

TEST(Yaml, BriefFormIsShort) {
  EXPECT_EQ(brief(parse("{a: [1, 2], b: 'c'}")), "{a: [1, 2], b: \"c\"}");
  EXPECT_LE(brief(parse("[" + std::string(500, 'x') + "]")).size(), 60U);
}

}  // namespace
}  // namespace troupe
