// What a message must say.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace troupe::testing {

inline void expect_said(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

}  // namespace troupe::testing
