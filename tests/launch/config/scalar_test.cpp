#include "launch/config/scalar.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(Scalar, IntegersAsPeopleWriteThem) {
  const auto is = [](const char* text, int64_t value) {
    const Scalar<int64_t> parsed = parse_integer(text);
    ASSERT_TRUE(std::holds_alternative<int64_t>(parsed)) << text;
    EXPECT_EQ(std::get<int64_t>(parsed), value) << text;
  };
  is("0", 0);
  is("-3", -3);
  is("1_000", 1000);
  is("1e6", 1000000);
  is("1.5e3", 1500);
  is("64k", 64000);
  is("2M", 2000000);
  is("4Ki", 4096);
  is("1Mi", 1 << 20);
  is("9223372036854775807", INT64_MAX);
}

TEST(Scalar, RefusedIntegers) {
  for (const char* text : {"010",
                           "0x10",
                           "0o7",
                           "1__0",
                           "_1",
                           "1_",
                           "1.5",
                           "abc",
                           "",
                           "-",
                           "9223372036854775808",
                           "1e99",
                           ".inf",
                           "nan",
                           "64kk",
                           "k",
                           "1 000",
                           "1,000",
                           "--1",
                           "1e"}) {
    EXPECT_TRUE(std::holds_alternative<std::string>(parse_integer(text))) << text;
  }
  EXPECT_NE(std::get<std::string>(parse_integer("010")).find("octal"), std::string::npos);
}

TEST(Scalar, Reals) {
  const auto is = [](const char* text, double value) {
    const Scalar<double> parsed = parse_real(text);
    ASSERT_TRUE(std::holds_alternative<double>(parsed)) << text;
    EXPECT_EQ(std::get<double>(parsed), value) << text;
  };
  is("1e-3", 1e-3);
  is("1.0e-3", 1e-3);
  is("5", 5);
  is(".5", 0.5);
  is("+2.5", 2.5);
  is("1_000.5", 1000.5);
  for (const char* text : {".inf", "-.inf", ".nan", "inf", "NaN", "1e999", "01.5", "1.2.3", "e5"}) {
    EXPECT_TRUE(std::holds_alternative<std::string>(parse_real(text))) << text;
  }
}

TEST(Scalar, Durations) {
  const auto is = [](const char* text, int64_t value) {
    const Scalar<int64_t> parsed = parse_duration(text);
    ASSERT_TRUE(std::holds_alternative<int64_t>(parsed)) << text;
    EXPECT_EQ(std::get<int64_t>(parsed), value) << text;
  };
  is("8s", 8000);
  is("10m", 600000);
  is("1h", 3600000);
  is("1h30m", 5400000);
  is("250ms", 250);
  is("1.5s", 1500);
  for (const char* text : {"600", "10 m", "m", "10x", "-5s", "0s", "", "1h30", "1e9d"}) {
    EXPECT_TRUE(std::holds_alternative<std::string>(parse_duration(text))) << text;
  }
  // Only where an "s" behind it makes the text a duration.
  const auto advice = [](const char* text) { return std::get<std::string>(parse_duration(text)); };
  EXPECT_NE(advice("600").find("write 600s"), std::string::npos);
  for (const char* text : {"10 m", "10min", "1:30", "1h30", "10M"}) {
    EXPECT_NE(advice(text).find("write a number with a unit"), std::string::npos) << advice(text);
  }
  for (const int64_t value : {int64_t{250}, int64_t{8000}, int64_t{5400000}, int64_t{7200000}}) {
    EXPECT_EQ(std::get<int64_t>(parse_duration(format_duration(value))), value);
  }
}

TEST(Scalar, TextsReadBackFromTheirYamlForm) {
  EXPECT_EQ(format_text("plain_word-1.txt"), "plain_word-1.txt");
  EXPECT_EQ(format_text("true"), "\"true\"");
  EXPECT_EQ(format_text("12"), "\"12\"");
  EXPECT_EQ(format_text(""), "\"\"");
  EXPECT_EQ(format_text("a \"b\"\\"), "\"a \\\"b\\\"\\\\\"");
  EXPECT_EQ(format_real(1e-8), "1.0e-08");  // a number for YAML 1.1 readers, too
  EXPECT_EQ(format_real(3), "3.0");
  // Computed numbers: six digits, more only where two would look the same.
  EXPECT_EQ(format_computed(0.1 * 0.003, 1e-3), "0.0003");
  EXPECT_EQ(format_computed(0.1 * 3, 0.3), "0.30000000000000004");
  EXPECT_EQ(format_computed(0.12345671, 0.12345678), "0.1234567");
  EXPECT_EQ(format_computed(0.5, 0.5), "0.5");
}

}  // namespace
}  // namespace troupe
