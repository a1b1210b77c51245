// What a user reads of the settings of texts is what the user wrote.
#include "launch/config/setting_names.h"

#include <gtest/gtest.h>

#include "launch/config/schema.h"

namespace troupe {
namespace {

TEST(SettingNames, AreKeysOfTheConfigurationOrFlags) {
  EXPECT_EQ(key_names("invalid_utf8", "keep"), "data.invalid_utf8: keep");
  EXPECT_EQ(flag_names("invalid_utf8", "keep"), "--invalid-utf8 keep");
  for (const char* setting : {"invalid_utf8", "field", "format", "end_of_text", "separator",
                              "tokenizer", "val_fraction"}) {
    EXPECT_NE(find_schema(key_names(setting, "")), nullptr) << setting;
  }
  EXPECT_EQ(flag_names("tokenizer", ""), "");
}

}  // namespace
}  // namespace troupe
