#include "core/kernels/cpu/memory_rate.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/tensor/tensor.h"

namespace troupe::kernels::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// Independent sums: enough vector registers in flight to wait for memory and not for adds.
uint64_t sum_of(const uint64_t* words, int64_t count) {
  constexpr int64_t kLanes = 32;
  uint64_t sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += words[i + lane];
  }
  for (; i < count; ++i) sums[0] += words[i];
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double read_rate(Stream& stream, int64_t bytes, double seconds) {
  require(bytes >= 64, "the rate of reading {} bytes", bytes);
  const int64_t words = bytes / 8;
  const Tensor block = Tensor::empty({words}, DType::i64, stream.device->shared_from_this());
  auto* data = static_cast<uint64_t*>(block.view().data);
  std::fill(data, data + words, uint64_t{1});
  // Small enough that an uneven team still ends together, large enough to stream.
  const int64_t pieces = std::clamp<int64_t>(words / 4096, 1, 16 * stream.threads);
  std::vector<uint64_t> sums(static_cast<size_t>(pieces));
  const auto pass = [&] {
    parallel_for(stream, pieces, [&](int64_t piece) {
      const int64_t begin = words * piece / pieces;
      sums[static_cast<size_t>(piece)] = sum_of(data + begin, words * (piece + 1) / pieces - begin);
    });
    uint64_t total = 0;
    for (const uint64_t sum : sums) total += sum;
    require(total == static_cast<uint64_t>(words), "read {} ones of {}", total, words);
  };
  pass();
  double fastest = 1e9;
  const auto start = Clock::now();
  for (int passes = 0;
       passes < 5 || std::chrono::duration<double>(Clock::now() - start).count() < seconds;
       ++passes) {
    const auto begin = Clock::now();
    pass();
    fastest = std::min(fastest, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return static_cast<double>(words * 8) / fastest;
}

}  // namespace troupe::kernels::cpu
