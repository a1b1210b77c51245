// Structure-aware fuzzing of the readers of token files and tokenizers: valid files, changed where
// it hurts. Each case is a pure function of its number, so a failure can be made again.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <string>

namespace troupe::test {

using FuzzRandom = std::mt19937_64;

struct FuzzOutcome {
  bool first_check = false;  // got beyond the first check of the reader
  bool accepted = false;     // read to the end
};

struct IndexCase {
  std::string idx;
  int64_t bin_bytes = 0;
};

IndexCase mutated_index(FuzzRandom& random);
std::string mutated_tokenizer_json(FuzzRandom& random);
std::string mutated_merges(FuzzRandom& random);
std::string mutated_text_file(FuzzRandom& random);

// Reads one input: an Error of ExitCode::data or a good result are fine, anything else fails the
// test.
FuzzOutcome try_index(const std::string& idx, int64_t bin_bytes);
FuzzOutcome try_tokenizer_json(const std::string& text);
FuzzOutcome try_merges(const std::string& text);
// With options that are drawn. path: where the file is written.
FuzzOutcome try_text_file(const std::string& bytes, const std::string& path, FuzzRandom& random);

// Runs `one` for the cases [0, count), checks time and memory, prints the shares.
void fuzz(const char* what, int64_t count, const std::function<FuzzOutcome(FuzzRandom&)>& one);

}  // namespace troupe::test
