// A tiny model on a text of a few kB, in a directory that the test removes.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/program/job.h"

namespace troupe::program {

class TinyRun : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  // train CONFIG run.dir=FOLDER/NAME KEYS...; of a key that is there twice the last one holds.
  std::vector<std::string> train(const std::string& name,
                                 const std::vector<std::string>& keys) const;
  // All checkpoints of the two runs that are at the same step are equal in every bit, and at least
  // the one of `step` is there.
  void expect_equal(const std::string& a, const std::string& b, int step) const;
  // Rows of metrics.jsonl, without times and memory.
  std::vector<nlohmann::json> rows(const std::string& name) const;
  // Steps 1 to `steps` have one row each, equal in both runs.
  void expect_equal_rows(const std::string& a, const std::string& b, int steps) const;
  std::string checkpoint(const std::string& name, int step) const;

 private:
  std::string folder_;
};

}  // namespace troupe::program
