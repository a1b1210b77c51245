// Texts that were valid and are changed where it hurts: for fuzz tests of readers of JSON and of
// binary headers. Each is a pure function of the random numbers.
#pragma once

#include <random>
#include <string>

namespace troupe::test {

// One to four changes: bytes and numbers replaced, pieces removed, doubled or swapped, brackets and
// quotes put in.
std::string mutated(std::string text, std::mt19937_64& random);

}  // namespace troupe::test
