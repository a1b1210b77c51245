#include "core/text/byte_escape.h"

#include <gtest/gtest.h>

#include "core/text/json_text.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

// Every byte, every pair of bytes that matter, and pieces of longer characters.
std::vector<std::string> all_kinds_of_text() {
  std::vector<std::string> texts{"",           "plain/text.txt", "bytes:",       "bytes:%41",
                                 "100 %",      "caf\xe9/%41",    "caf\xc3\xa9",  "a\nb\tc\r\x7f",
                                 "\u2028",     "\ufeff",         "\uffff",       "\u0085",
                                 "\xf0\x9f",   "\xed\xa0\x80",   "\xff\xfe",     "bytes:\xe9",
                                 "quote\"'\\", "\U0001F600",     "# no comment", " "};
  for (int first = 0; first < 256; ++first) {
    texts.push_back(std::string(1, static_cast<char>(first)));
    for (const char second : {'a', '%', '\n', '\x80', '\xe9'}) {
      texts.push_back(std::string(1, static_cast<char>(first)) + second);
    }
  }
  return texts;
}

TEST(ByteEscape, AnyBytesComeBack) {
  for (const std::string& text : all_kinds_of_text()) {
    const std::string escaped = escape_bytes(text);
    EXPECT_EQ(utf8_valid_prefix(escaped), escaped.size()) << escaped;
    EXPECT_EQ(escaped.find_first_of("\n\r\t\x7f"), std::string::npos) << escaped;
    EXPECT_EQ(unescape_bytes(escaped), text) << escaped;
  }
}

TEST(ByteEscape, TextStandsAsItIs) {
  for (const char* text : {"", "runs/a", "caf\u00e9 100 %", "\u65e5\u672c.txt", "x bytes:"}) {
    EXPECT_EQ(escape_bytes(text), text);
  }
  EXPECT_EQ(escape_bytes("caf\xe9/100 %"), "bytes:caf%E9/100 %25");
  EXPECT_EQ(escape_bytes("bytes:a"), "bytes:bytes:a");
}

TEST(ByteEscape, WhatIsNoEscapeIsSaid) {
  for (const char* text : {"bytes:%", "bytes:%4", "bytes:%4g", "bytes:%+1", "bytes:a%zz"}) {
    EXPECT_EQ(unescape_bytes(text), std::nullopt) << text;
  }
}

TEST(JsonText, LosesNoBytes) {
  for (const std::string& text : all_kinds_of_text()) {
    const Json read = Json::parse(json_text({{"list", {text}}, {"key " + text, 1}}));
    EXPECT_EQ(unescape_bytes(read["list"][0].get<std::string>()), text);
    EXPECT_EQ(read.size(), 2U);
  }
  // What JSON itself can say stays.
  EXPECT_EQ(json_text("a\nb"), "\"a\\nb\"");
  EXPECT_EQ(json_text({{"a", 1}, {"b", Json::array()}}), "{\"a\":1,\"b\":[]}");
}

TEST(Utf8, IllFormedPartsAreReplacedForShowing) {
  EXPECT_EQ(utf8_replaced("a\xe9"
                          "b\xf0\x9f"),
            "a\uFFFDb\uFFFD");
  EXPECT_EQ(utf8_replaced("caf\u00e9"), "caf\u00e9");
}

}  // namespace
}  // namespace troupe
