#pragma once
// What nearly every test includes, precompiled once (troupe_test_headers in cmake/troupe.cmake). A
// test still includes what it uses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>
