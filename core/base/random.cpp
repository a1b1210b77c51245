#include "core/base/random.h"

#include <xxhash.h>

#include <cmath>

namespace troupe {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;

double to_unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

Random::Random(uint64_t seed, std::string_view purpose, std::string_view name) {
  const uint64_t purpose_hash = XXH3_64bits_withSeed(purpose.data(), purpose.size(), seed);
  key_ = XXH3_64bits_withSeed(name.data(), name.size(), purpose_hash);
}

std::array<uint32_t, 4> Random::block(uint64_t index, uint64_t lane) const {
  return philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                     static_cast<uint32_t>(lane), static_cast<uint32_t>(lane >> 32)},
                    {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
}

uint64_t Random::bits(uint64_t index, uint64_t lane) const {
  const auto words = block(index, lane);
  return uint64_t{words[1]} << 32 | words[0];
}

double Random::uniform(uint64_t index, uint64_t lane) const { return to_unit(bits(index, lane)); }

uint64_t Random::below(uint64_t index, uint64_t n, uint64_t lane) const {
  __extension__ using Wide = unsigned __int128;
  // Multiply-shift on 64 random bits: the bias is below n / 2^64.
  return static_cast<uint64_t>((static_cast<Wide>(bits(index, lane)) * n) >> 64);
}

double Random::normal(uint64_t index, uint64_t lane) const {
  const auto words = block(index, lane);
  const double radius_draw = to_unit(uint64_t{words[1]} << 32 | words[0]);
  const double angle_draw = to_unit(uint64_t{words[3]} << 32 | words[2]);
  return std::sqrt(-2.0 * std::log1p(-radius_draw)) * std::cos(6.283185307179586 * angle_draw);
}

}  // namespace troupe
