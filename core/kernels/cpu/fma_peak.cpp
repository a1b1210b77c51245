#include "core/kernels/cpu/fma_peak.h"

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/instruction_set.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/fma_peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Independent sums: more than the latency of an addition times the units that add, and as many as
// registers hold beside the two factors.
constexpr int kChains = HWY_TARGET == HWY_AVX2 ? 12 : 24;

template <typename T>
HWY_INLINE double chains(int64_t rounds) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  V sum[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) sum[i] = hn::Set(d, static_cast<T>(i));
  // Every sum tends to 2.
  const V factor = hn::Set(d, static_cast<T>(0.5));
  const V term = hn::Set(d, static_cast<T>(1));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = hn::MulAdd(sum[i], factor, term);
  }
  V total = sum[0];
#pragma GCC unroll 24
  for (int i = 1; i < kChains; ++i) total = hn::Add(total, sum[i]);
  return static_cast<double>(hn::GetLane(total));
}
double ChainsF32(int64_t rounds) { return chains<float>(rounds); }
double ChainsF64(int64_t rounds) { return chains<double>(rounds); }
double FlopsF32() { return 2.0 * kChains * hn::MaxLanes(hn::ScalableTag<float>()); }

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace troupe::kernels::cpu {
HWY_EXPORT(ChainsF32);
HWY_EXPORT(ChainsF64);
HWY_EXPORT(FlopsF32);

namespace {

// Written with intrinsics because Debian's Highway has no operations for these instructions.
constexpr int kDotChains = 24;

__attribute__((target("avx512f,avx512bf16"))) double dot_chains(int64_t rounds) {
  __m512 sum[kDotChains];
#pragma GCC unroll 24
  for (int i = 0; i < kDotChains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const auto ones = (__m512bh)_mm512_set1_epi32(0x3f803f80);  // pairs of 1
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kDotChains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], ones, ones);
  }
  __m512 total = sum[0];
#pragma GCC unroll 24
  for (int i = 1; i < kDotChains; ++i) total = _mm512_add_ps(total, sum[i]);
  return static_cast<double>(_mm512_cvtss_f32(total));
}

// Tiles of 16 rows of 64 bytes: six sums beside the two factors.
constexpr int kTileChains = 6;
constexpr double kTileFlops = 2.0 * 16 * 16 * 32;

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);

__attribute__((target("amx-tile,amx-bf16"))) double tile_chains(int64_t rounds) {
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
  return 0;
}

// The system gives a process its tiles when it asks for them.
void ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  require(::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0,
          "the system refuses the tiles of AMX");
}

struct Chains {
  double (*run)(int64_t rounds);  // a number that depends on all of them
  double flops;                   // of one round
};

// All that the type can be multiplied by.
std::vector<Chains> chains_of(DType dtype) {
  require(dtype == DType::f64 || dtype == DType::f32 || dtype == DType::bf16, "multiply-adds of {}",
          name(dtype));
  const double f32_flops = HWY_DYNAMIC_DISPATCH(FlopsF32)();
  if (dtype == DType::f64) {
    return {
        {[](int64_t rounds) { return HWY_DYNAMIC_DISPATCH(ChainsF64)(rounds); }, f32_flops / 2}};
  }
  std::vector<Chains> out{
      {[](int64_t rounds) { return HWY_DYNAMIC_DISPATCH(ChainsF32)(rounds); }, f32_flops}};
  if (dtype == DType::bf16 && instruction_set() >= InstructionSet::avx512_bf16) {
    out.push_back({dot_chains, kDotChains * 16 * 4.0});
  }
  if (dtype == DType::bf16 && instruction_set() >= InstructionSet::amx) {
    ask_for_tiles();
    out.push_back({tile_chains, kTileChains * kTileFlops});
  }
  return out;
}

// In pieces, so that a thread that starts late leaves more to the others.
Burst burst_of(Stream& stream, const Chains& chains, int64_t rounds) {
  const int64_t pieces = 16 * stream.threads;
  // One number a piece, so that the compiler keeps the work.
  const auto sums = std::make_shared<std::vector<double>>(static_cast<size_t>(pieces));
  const auto run = [&stream, chains, rounds, pieces, sums] {
    parallel_for(stream, pieces,
                 [&](int64_t piece) { (*sums)[static_cast<size_t>(piece)] = chains.run(rounds); });
    for (const double sum : *sums) require(std::isfinite(sum), "a sum of constants is {}", sum);
  };
  return {static_cast<double>(pieces * rounds) * chains.flops, run};
}

// Rounds of one piece. The best of several short ones says how many: with the time of one that was
// disturbed a burst would be too short.
int64_t rounds_of(Stream& stream, const Chains& chains) {
  constexpr double kSeconds = 0.004;
  int64_t rounds = 64;
  for (;; rounds *= 4) {
    const Burst burst = burst_of(stream, chains, rounds);
    const double seconds = burst.flops / best_rate(burst, 3);
    if (seconds < kSeconds / 10) continue;
    return std::max<int64_t>(static_cast<int64_t>(static_cast<double>(rounds) * kSeconds / seconds),
                             1);
  }
}

}  // namespace

Burst fma_burst(Stream& stream, DType dtype) {
  Burst fastest;
  double rate = 0;
  for (const Chains& chains : chains_of(dtype)) {
    const Burst burst = burst_of(stream, chains, rounds_of(stream, chains));
    const double own = best_rate(burst, 2);
    if (own <= rate) continue;
    rate = own;
    fastest = burst;
  }
  return fastest;
}

}  // namespace troupe::kernels::cpu
#endif
