#include "core/text/json_row.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

JsonRow read(const std::string& line, InvalidUtf8 invalid = InvalidUtf8::keep) {
  TextOptions options;
  options.invalid_utf8 = invalid;
  return read_json_row(line, options);
}

void expect_text(const std::string& text, const JsonRow& row) {
  EXPECT_EQ(row.kind, RowKind::text) << row.fault;
  EXPECT_EQ(row.text, text);
}

void expect_fault(RowKind kind, const std::string& words, int64_t column, const JsonRow& row) {
  EXPECT_EQ(row.kind, kind) << row.fault;
  EXPECT_NE(row.fault.find(words), std::string::npos) << row.fault;
  EXPECT_EQ(row.column, column) << row.fault;
  EXPECT_EQ(row.text, "");
}

TEST(JsonRow, TakesTheTextOfTheField) {
  expect_text("a\nb \xC3\xA9", read(R"({"n": [1, {"text": "no"}], "text": "a\nb \u00e9"})"));
  expect_text("", read(R"({"text": ""})"));
  expect_text("a", read("  {\"text\": \"a\"}\r"));
  expect_text("\xF0\x9F\x98\x80", read(R"({"text": "\ud83d\ude00"})"));
}

TEST(JsonRow, OfAFieldGivenTwiceTheLastCounts) {
  expect_text("b", read(R"({"text": "a", "text": "b"})"));
  expect_text("b", read(R"({"text": null, "text": "b"})"));
  expect_fault(RowKind::no_text, "has null in field \"text\", not a text", 0,
               read(R"({"text": "a", "text": null})"));
}

TEST(JsonRow, SaysWhatStandsInTheField) {
  const auto refuses = [](const std::string& what, const std::string& line) {
    expect_fault(RowKind::no_text, "has " + what + " in field \"text\", not a text", 0, read(line));
  };
  refuses("null", R"({"text": null})");
  refuses("a number", R"({"text": 5})");
  refuses("a number", R"({"text": NaN})");
  refuses("true", R"({"text": true})");
  refuses("a list", R"({"text": ["a"]})");
  refuses("an object", R"({"text": {"text": "a"}})");
  expect_fault(RowKind::no_text, "has no field \"text\"; its fields are: \"b\", \"a\"", 0,
               read(R"({"b": 1, "a": {"c": 2}})"));
  expect_fault(RowKind::no_object, "is not a JSON object but a list", 0, read("[1]"));
  expect_fault(RowKind::no_object, "is not a JSON object but a text", 0, read("\"a\""));
  expect_fault(RowKind::no_object, "is not a JSON object but null", 0, read("null"));
}

// Python's json module writes them.
TEST(JsonRow, NumbersThatAreNoneAreNoFaultElsewhere) {
  expect_text("NaN", read(R"({"score": NaN, "text": "NaN"})"));
  expect_text("a", read(R"({"l": [NaN, Infinity, -Infinity ,NaN], "text": "a", "p":-Infinity})"));
  expect_text("a \"NaN", read(R"({"text": "a \"NaN", "q": "\\", "x":NaN})"));
  for (const char* line : {R"({"text": "a", "x": nan})", R"({"text": "a", "x": NaNs})",
                           R"({"text": "a", "x": 1NaN})", R"({"text": "a", "x": -NaN})",
                           R"({"text": "a", NaN: 1})", R"({"text": "a", "x": +Infinity})"})
    EXPECT_EQ(read(line).kind, RowKind::no_json) << line;
}

// Python writes integers of any length, and reads 1e999 as infinity.
TEST(JsonRow, NumbersThatNoDoubleHoldsAreNoFaultElsewhere) {
  for (const std::string& number :
       {std::string("1e999"), std::string("-2.5E+400"), std::string("[1, 1e9999]"),
        std::string(400, '9'), "-" + std::string(400, '1') + ".5e77"})
    expect_text("1e999", read("{\"x\":" + number + R"(, "text": "1e999"})"));
  EXPECT_EQ(read(R"({"text": 1e999})").kind, RowKind::no_text);
  for (const char* line : {R"({"text": "a", "x": 01e999})", R"({"text": "a", "x": 1e})",
                           R"({"text": "a", "x": 1.e999})", R"({"text": "a", "x": 1e999-3})"})
    EXPECT_EQ(read(line).kind, RowKind::no_json) << line;
}

TEST(JsonRow, HalfASurrogatePairIsAFaultOnlyInTheText) {
  expect_text("a", read(R"({"other": "\ud83d", "text": "a", "more": ["\ude00\ud83d"]})"));
  const std::string bad = R"({"text": "a\ud83d."})";
  expect_fault(RowKind::no_json, "half a surrogate pair in its text", 18, read(bad));
  const JsonRow replaced = read(bad, InvalidUtf8::replace);
  expect_text("a\xEF\xBF\xBD.", replaced);
  EXPECT_TRUE(replaced.half_pair);
  expect_text("\xEF\xBF\xBD\xF0\x9F\x98\x80\xEF\xBF\xBD",
              read(R"({"text": "\ud83d\ud83d\ude00\udfff"})", InvalidUtf8::replace));
  expect_text("\xEF\xBF\xBD", read(R"({"text": "\udbff"})", InvalidUtf8::replace));
}

TEST(JsonRow, BytesThatAreNoUtf8AreKeptOrAFault) {
  const std::string line = "{\"text\": \"a\xFF\xC3(\xE2\x82\", \"n\": NaN}";
  expect_text("a\xFF\xC3(\xE2\x82", read(line));
  expect_text("a\xFF\xC3(\xE2\x82",
              read(line, InvalidUtf8::replace));  // the reader of rows does it
  EXPECT_EQ(read(line, InvalidUtf8::error).kind, RowKind::no_json);
  expect_text("a", read("{\"text\": \"a\", \"b\": \"\xFF\"}", InvalidUtf8::error));
}

// The characters that mark repaired places are text like any other where they are written.
TEST(JsonRow, KeepsCharactersOfThePrivatePlane) {
  const std::string mark = "\xF4\x8F\xBC\x81";
  expect_text(mark, read("{\"text\": \"" + mark + "\"}"));
  expect_text(mark, read(R"({"text": "\udbff\udf01"})"));
  EXPECT_EQ(read("{\"text\": \"" + mark + "\xFF\"}").kind, RowKind::no_json);
  EXPECT_EQ(read("{\"text\": \"\\uDBFF\\uDF01\xFF\"}").kind, RowKind::no_json);
}

TEST(JsonRow, NamesTheColumnAndStaysShort) {
  expect_fault(RowKind::no_json, "unexpected end of input", 11,
               read(R"({"text": )"
                    " "));
  const JsonRow open = read("{\"text\": \"" + std::string(1'000'000, 'x'));
  EXPECT_EQ(open.kind, RowKind::no_json);
  EXPECT_LT(open.fault.size(), 500U);
  EXPECT_EQ(read(std::string(1'000'000, '[')).kind, RowKind::no_json);
  std::string many = "{";
  for (int i = 0; i < 10'000; ++i) many += "\"field" + std::to_string(i) + "\": 1, ";
  EXPECT_LT(read(many + "\"z\": 1}").fault.size(), 1000U);
}

}  // namespace
}  // namespace troupe
