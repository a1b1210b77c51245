#include "core/base/error.h"

#include <gtest/gtest.h>

#include "core/base/field.h"

namespace troupe {
namespace {

TEST(Error, CarriesCodeAndMessage) {
  try {
    fail(ExitCode::data, "file {} has {} bytes", "x.txt", 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_STREQ(error.what(), "file x.txt has 3 bytes");
  }
  EXPECT_NO_THROW(require(true, "never"));
  try {
    require(false, "broken {}", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::internal);
  }
}

TEST(Options, StartAtTheirDefaults) {
  Field count;
  count.name = "k";
  count.type = FieldType::integer;
  count.default_value = int64_t{2};
  Field rate;
  rate.name = "rate";
  rate.default_value = 0.5;
  const FieldList fields = {count, rate};
  Options options(fields);
  EXPECT_EQ(options.integer("k"), 2);
  options.set("k", int64_t{3});
  EXPECT_EQ(options.integer("k"), 3);
  EXPECT_EQ(options.real("rate"), 0.5);
  EXPECT_TRUE(options.has("rate"));
  EXPECT_THROW(options.integer("undeclared"), Error);
}

}  // namespace
}  // namespace troupe
