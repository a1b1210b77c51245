#include "tests/moe/support.h"

#include <numeric>

#include "core/base/random.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {

TokenContext whole_batch(int64_t sequences, int64_t seq_len, int64_t vocab) {
  const Random random(5, "test ids");
  std::vector<int32_t> ids(static_cast<size_t>(sequences * seq_len));
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>(random.below(i, static_cast<uint64_t>(vocab)));
  std::vector<int64_t> samples(static_cast<size_t>(sequences));
  std::iota(samples.begin(), samples.end(), 0);
  TokenContext out = token_context(
      samples, seq_len,
      Tensor::from(std::span<const int32_t>(ids), Shape{sequences * seq_len}, test_device()),
      {.sequences = sequences, .tokens = sequences * seq_len, .micro_batch = sequences});
  out.seed = 77;
  out.step = 3;
  out.training = true;
  return out;
}

TokenContext part_of(const TokenContext& batch, int64_t first, int64_t count) {
  TokenContext out = batch;
  out.sequences = count;
  out.samples.assign(batch.samples.begin() + first, batch.samples.begin() + first + count);
  const int64_t begin = first * batch.seq_len;
  const int64_t end = (first + count) * batch.seq_len;
  out.token_ids = batch.token_ids.strided(Shape{end - begin}, Shape{1}, begin);
  if (!batch.valid.empty())
    out.valid.assign(batch.valid.begin() + begin, batch.valid.begin() + end);
  return out;
}

void pad(TokenContext& batch, const std::vector<int64_t>& tokens) {
  if (batch.valid.empty()) batch.valid.assign(static_cast<size_t>(batch.tokens()), 1);
  for (const int64_t t : tokens) {
    batch.global_tokens -= batch.valid[static_cast<size_t>(t)];
    batch.valid[static_cast<size_t>(t)] = 0;
  }
}

Tensor rows_of(const Tensor& x, int64_t begin, int64_t end, const std::shared_ptr<Device>& device) {
  const int64_t columns = x.dim(1);
  const std::vector<double> all = x.values();
  const std::vector<double> part(all.begin() + begin * columns, all.begin() + end * columns);
  return Tensor::from(part, Shape{end - begin, columns}, x.dtype(), device ? device : x.device());
}

}  // namespace troupe::testing
