#include "core/base/random.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace troupe {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;

double to_unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

// to_unit in steps that have vector instructions.
double to_unit_in_steps(uint64_t bits) {
  const auto real = [](uint64_t below_2_52) {
    return std::bit_cast<double>(below_2_52 | 0x4330000000000000) - 0x1.0p52;
  };
  return (real(bits >> 32) * 0x1.0p21 + real(bits >> 11 & 0x1fffff)) * 0x1.0p-53;
}

// Draws that are computed together; loops over them become vector instructions.
constexpr size_t kDraws = 64;
template <typename T>
using Draws = std::array<T, kDraws>;

// bits[0] and bits[1]: the two halves of the Philox blocks of kDraws indices from `first` on.
void philox_blocks(uint64_t first, std::array<uint32_t, 2> key,
                   std::array<Draws<uint64_t>, 2>& bits) {
  constexpr size_t kRounds = 10;
  std::array<std::array<uint32_t, 2>, kRounds> keys;
  for (auto& round : keys) {
    round = key;
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  std::array<Draws<uint32_t>, 4> words;
  for (size_t i = 0; i < kDraws; ++i) {
    auto c0 = static_cast<uint32_t>(first + i), c1 = static_cast<uint32_t>((first + i) >> 32);
    uint32_t c2 = 0, c3 = 0;
#pragma GCC unroll 10
    for (size_t round = 0; round < kRounds; ++round) {
      const uint64_t product0 = uint64_t{c0} * kMultiplier0;
      const uint64_t product1 = uint64_t{c2} * kMultiplier1;
      c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ keys[round][0];
      c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ keys[round][1];
      c1 = static_cast<uint32_t>(product1);
      c3 = static_cast<uint32_t>(product0);
    }
    words[0][i] = c0;
    words[1][i] = c1;
    words[2][i] = c2;
    words[3][i] = c3;
  }
  for (size_t i = 0; i < kDraws; ++i) {
    bits[0][i] = uint64_t{words[1][i]} << 32 | words[0][i];
    bits[1][i] = uint64_t{words[3][i]} << 32 | words[2][i];
  }
}

// Choices without branches. a, b: below 2^63.
uint64_t all_ones_where_below(uint64_t a, uint64_t b) {
  return static_cast<int64_t>(a) < static_cast<int64_t>(b) ? ~uint64_t{0} : 0;
}
double choose(uint64_t ones, double a, double b) {
  return std::bit_cast<double>((std::bit_cast<uint64_t>(a) & ones) |
                               (std::bit_cast<uint64_t>(b) & ~ones));
}

// out = log1p(-x) for x in [0, 1) with 53 bits, so that 1 - x is exact: the steps of fdlibm's log1p
// (Sun Microsystems, 1993), which glibc takes too, so the same bits. Where glibc takes others,
// log1p itself is called.
void log1p_of_negative(const Draws<double>& x, Draws<double>& out) {
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr uint64_t kSmallX = 0x3fd2bec400000000;  // about 1 - sqrt(0.5)
  constexpr uint64_t kRootOf2 = 0x6a09e00000000;    // its mantissa
  constexpr uint64_t kHalf = 0x0010000000000000;    // of a number: its exponent less by one
  constexpr uint64_t kSign = 0x8000000000000000;
  constexpr auto kSteps = std::bit_cast<uint64_t>(0x1.0p-18);  // of glibc are others below
  uint64_t rare = 0;
  for (size_t i = 0; i < kDraws; ++i) {
    // 1 - x = 2^k (1 + f), or k = 0 and f = -x.
    const auto bits = std::bit_cast<uint64_t>(1.0 - x[i]);
    const uint64_t mantissa = bits & 0xfffffffffffff;
    const uint64_t upper = all_ones_where_below(kRootOf2 - 1, mantissa);
    const uint64_t small = all_ones_where_below(std::bit_cast<uint64_t>(x[i]), kSmallX);
    const double reduced = std::bit_cast<double>(mantissa | (0x3ff0000000000000 - (upper & kHalf)));
    const double f = choose(small, -x[i], reduced - 1.0);
    const double k =
        std::bit_cast<double>(((bits >> 52) - upper) | 0x4330000000000000) - (0x1.0p52 + 1023.0);
    rare |= all_ones_where_below(std::bit_cast<uint64_t>(f) & ~kSign, kSteps);
    const double half = 0.5 * f * f;
    const double s = f / (2.0 + f);
    const double z = s * s;
    const double z2 = z * z;
    const double z4 = z2 * z2;
    const double r2 = std::fma(z, 2.857142874366239149e-01, 3.999999999940941908e-01);
    const double r3 = std::fma(z, 1.818357216161805012e-01, 2.222219843214978396e-01);
    const double r4 = std::fma(z, 1.479819860511658591e-01, 1.531383769920937332e-01);
    const double r =
        std::fma(z4 * z2, r4, std::fma(z4, r3, std::fma(z, 6.666666666666735130e-01, z2 * r2)));
    const double rest = s * (half + r);
    const double scaled = k * kLn2High - ((half - (rest + k * kLn2Low)) - f);
    out[i] = choose(small, f - (half - rest), scaled);
  }
  if (rare == 0) return;
  for (size_t i = 0; i < kDraws; ++i) out[i] = std::log1p(-x[i]);
}

// The two factors of kDraws normals from index `first` on: radii[i] * cos(angles[i]).
void radii_and_angles(uint64_t first, std::array<uint32_t, 2> key, Draws<double>& radii,
                      Draws<double>& angles) {
  std::array<Draws<uint64_t>, 2> bits;
  philox_blocks(first, key, bits);
  for (size_t i = 0; i < kDraws; ++i) angles[i] = to_unit_in_steps(bits[0][i]);
  log1p_of_negative(angles, radii);
  for (size_t i = 0; i < kDraws; ++i) {
    radii[i] = std::sqrt(-2.0 * radii[i]);
    angles[i] = 6.283185307179586 * to_unit_in_steps(bits[1][i]);
  }
}

// cos(x) for x in [0, 6.2832], to within 2^-50.
double near_cosine(double x) {
  constexpr double kPiHigh = 3.141592653589793116, kPiLow = 1.2246467991473532e-16;
  constexpr double kToWhole = 0x1.8p52;
  const double turns = (x * (1 / kPiHigh) + kToWhole) - kToWhole;  // half ones: 0, 1 or 2
  const double y = std::fma(-turns, kPiLow, std::fma(-turns, kPiHigh, x));
  const double z = y * y;
  // The series of cos(y), y at most pi / 2 but for rounding; what is left out is below 1e-18.
  double sum = 1 / 620448401733239439360000.0;
  sum = std::fma(-z, sum, 1 / 1124000727777607680000.0);
  sum = std::fma(-z, sum, 1 / 2432902008176640000.0);
  sum = std::fma(-z, sum, 1 / 6402373705728000.0);
  sum = std::fma(-z, sum, 1 / 20922789888000.0);
  sum = std::fma(-z, sum, 1 / 87178291200.0);
  sum = std::fma(-z, sum, 1 / 479001600.0);
  sum = std::fma(-z, sum, 1 / 3628800.0);
  sum = std::fma(-z, sum, 1 / 40320.0);
  sum = std::fma(-z, sum, 1 / 720.0);
  sum = std::fma(-z, sum, 1 / 24.0);
  sum = std::fma(-z, sum, 1 / 2.0);
  sum = std::fma(-z, sum, 1.0);
  return (2.0 * std::abs(turns - 1.0) - 1.0) * sum;
}

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
                    key());
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

void Random::normals(uint64_t first, std::span<double> out) const {
  Draws<double> radii, angles;
  for (size_t done = 0; done < out.size(); done += kDraws) {
    radii_and_angles(first + done, key(), radii, angles);
    const size_t count = std::min(kDraws, out.size() - done);
    for (size_t i = 0; i < count; ++i) out[done + i] = radii[i] * std::cos(angles[i]);
  }
}

void Random::scaled_normals(uint64_t first, double scale, std::span<float> out) const {
  // Twice what near_cosine, libm's cosine (one unit in the last place) and the products may be off.
  // A number that rounds to another f32 within that is made of libm's cosine.
  constexpr double kError = 0x1.0p-48;
  Draws<double> radii, angles;
  Draws<float> values;
  for (size_t done = 0; done < out.size(); done += kDraws) {
    radii_and_angles(first + done, key(), radii, angles);
    uint32_t unsure = 0;
    for (size_t i = 0; i < kDraws; ++i) {
      const double size = scale * radii[i];
      const double value = size * near_cosine(angles[i]);
      const auto below = static_cast<float>(value - size * kError);
      const auto above = static_cast<float>(value + size * kError);
      values[i] = below;
      unsure |= std::bit_cast<uint32_t>(below) ^ std::bit_cast<uint32_t>(above);
    }
    if (unsure != 0) {
      for (size_t i = 0; i < kDraws; ++i)
        values[i] = static_cast<float>(scale * (radii[i] * std::cos(angles[i])));
    }
    std::copy_n(values.begin(), std::min(kDraws, out.size() - done),
                out.begin() + static_cast<std::ptrdiff_t>(done));
  }
}

}  // namespace troupe
