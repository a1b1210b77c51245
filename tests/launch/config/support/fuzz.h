// A structure-aware fuzzer of configurations: valid files, changed in ways that keep most of their
// YAML sound. A case is a pure function of its number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

struct FuzzSummary {
  int64_t cases = 0;
  int64_t parsed = 0;    // the YAML itself was sound
  int64_t accepted = 0;  // the whole configuration was
  double slowest_ms = 0;
  int64_t peak_bytes = 0;             // of the process
  std::vector<std::string> failures;  // cases that broke a promise, with what they did
};

struct FuzzCase {
  std::string text;
  std::vector<std::string> overrides;  // of the command line
};
FuzzCase fuzz_case(const std::vector<std::string>& seeds, uint64_t number);

// One input through parser, reader, rules and writer. Promises: Error(usage) or acceptance, nothing
// else, within 2 s; what is accepted is written out and loads back to the same hash. Returns what
// broke, or "".
std::string check_input(const FuzzCase& input, FuzzSummary& summary);

// Numbers [first, first + cases). Seeds are the samples of the project and of the tests.
FuzzSummary fuzz_configs(uint64_t first, int64_t cases);
std::vector<std::string> fuzz_seeds();

}  // namespace troupe
