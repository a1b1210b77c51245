// Counter-based random numbers: every draw is a pure function of (seed, purpose, name, index), so
// no layout, thread count or restart changes it. Generator: Philox4x32-10 (Salmon et al., SC 2011).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace troupe {

// One block of Philox4x32-10: four words from a counter of four and a key of two words.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

class Random {
 public:
  // purpose: what the numbers are for ("init", "dropout", ...); name: the logical name they belong
  // to.
  Random(uint64_t seed, std::string_view purpose, std::string_view name = {});

  std::array<uint32_t, 4> block(uint64_t index, uint64_t lane = 0) const;
  uint64_t bits(uint64_t index, uint64_t lane = 0) const;
  // Uniform in [0, 1), 53 bits.
  double uniform(uint64_t index, uint64_t lane = 0) const;
  // Uniform integer in [0, n), n > 0.
  uint64_t below(uint64_t index, uint64_t n, uint64_t lane = 0) const;
  // Standard normal (Box-Muller on the two halves of one block).
  double normal(uint64_t index, uint64_t lane = 0) const;
  // out[i] = normal(first + i), several times as fast.
  void normals(uint64_t first, std::span<double> out) const;
  // out[i] = scale * normal(first + i), rounded to f32. Several times as fast again.
  void scaled_normals(uint64_t first, double scale, std::span<float> out) const;

 private:
  std::array<uint32_t, 2> key() const {
    return {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)};
  }
  uint64_t key_;
};

}  // namespace troupe
