#include "tests/parallel/cp/cut_attention.h"

#include <algorithm>
#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe::testing {
namespace {

// Rows [tokens, heads, hd] of the whole micro-batch.
std::vector<double> draw(const char* what, const AttentionCase& c, int64_t heads) {
  const Random random(7, what);
  std::vector<double> values;
  for (int64_t i = 0; i < c.sequences * c.seq_len * heads * c.head_dim; ++i) {
    values.push_back(random.normal(static_cast<uint64_t>(i)));
  }
  return values;
}

AttentionOptions options_for(const AttentionCase& c, const std::shared_ptr<Device>& device) {
  AttentionOptions options;
  options.window = c.window;
  if (!c.documents) return options;
  const Random random(5, "documents");
  std::vector<int32_t> ids;
  int32_t id = 0;
  for (int64_t i = 0; i < c.sequences * c.seq_len; ++i) {
    if (random.below(static_cast<uint64_t>(i), 7) == 0) id += 1;
    ids.push_back(id);
  }
  options.documents = Tensor::from(std::span<const int32_t>(ids), {c.sequences, c.seq_len}, device);
  return options;
}

struct Share {
  const AttentionCase& c;
  const std::vector<int32_t>& rows;
  DType dtype;
  std::shared_ptr<Device> device;

  Tensor take(const char* what, int64_t heads) const {
    const std::vector<double> all = draw(what, c, heads);
    const int64_t size = heads * c.head_dim;
    std::vector<double> mine;
    for (int32_t row : rows) mine.insert(mine.end(), &all[row * size], &all[row * size] + size);
    const auto count = static_cast<int64_t>(rows.size());
    return Tensor::from(mine, {c.sequences, count / c.sequences, heads, c.head_dim}, dtype, device);
  }
  std::vector<double> put(const Tensor& x) const {
    const int64_t size = x.dim(2) * x.dim(3);
    std::vector<double> all(static_cast<size_t>(c.sequences * c.seq_len * size), 0.0);
    const std::vector<double> mine = x.values();
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(&mine[i * static_cast<size_t>(size)], size, &all[rows[i] * size]);
    }
    return all;
  }
};

template <typename F>
AttentionResult run(const Share& share, F f, int64_t* forward_bytes,
                    const std::function<int64_t()>& count) {
  const AttentionCase& c = share.c;
  Tensor dq, dk, dv;
  const Tensor out = f(leaf(share.take("q", c.heads), [&](Tensor g) { dq = std::move(g); }),
                       leaf(share.take("k", c.kv_heads), [&](Tensor g) { dk = std::move(g); }),
                       leaf(share.take("v", c.kv_heads), [&](Tensor g) { dv = std::move(g); }),
                       options_for(c, share.device));
  if (forward_bytes != nullptr) *forward_bytes = count();
  const Tensor seed = share.take("seed", c.heads);
  backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
  return {share.put(out), share.put(dq), share.put(dk), share.put(dv)};
}

std::vector<int32_t> all_rows(const AttentionCase& c) {
  std::vector<int32_t> rows(static_cast<size_t>(c.sequences * c.seq_len));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  return rows;
}

void add(std::vector<double>& to, const std::vector<double>& from) {
  to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  require(a.size() == b.size(), "{} and {} values", a.size(), b.size());
  double largest = 1e-30;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  return worst / largest;
}

}  // namespace

AttentionResult whole_attention(const AttentionCase& c, DType dtype) {
  const std::vector<int32_t> rows = all_rows(c);
  return run(Share{c, rows, dtype, Device::cpu(1)}, attention, nullptr, {});
}

Parallelism context_parallelism(CpKind kind, int cp) {
  MeshShape shape;
  shape[Axis::cp] = cp;
  shape[Axis::edp] = cp;
  Parallelism parallelism(shape);
  parallelism.cp_kind = kind;
  return parallelism;
}

CutResult cut_attention(const AttentionCase& c, DType dtype, const Mesh& mesh,
                        const std::shared_ptr<Device>& device) {
  const TokenSharding sharding(mesh.parallelism(), mesh.coordinates(), c.sequences, c.seq_len);
  const auto sent = [&] {
    int64_t bytes = 0;
    for (const auto& [key, traffic] : mesh.group(Axis::cp).traffic()) bytes += traffic.bytes;
    return bytes;
  };
  CutResult cut;
  cut.result = run(
      Share{c, sharding.attention_rows(), dtype, device},
      [&](const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options) {
        return context_attention(q, k, v, options, sharding, mesh, "attention");
      },
      &cut.bytes.forward, sent);
  cut.bytes.backward = sent() - cut.bytes.forward;
  return cut;
}

AttentionResult gathered_attention(const AttentionCase& c, DType dtype,
                                   const Parallelism& parallelism, int threads) {
  std::vector<AttentionResult> shares(static_cast<size_t>(parallelism.shape.world()));
  run_ranks(parallelism.shape.world(), [&](int rank, const auto& world) {
    const Mesh mesh(parallelism, world);
    shares[static_cast<size_t>(rank)] = cut_attention(c, dtype, mesh, Device::cpu(threads)).result;
  });
  AttentionResult whole;
  for (const AttentionResult& share : shares) {
    add(whole.out, share.out);
    add(whole.dq, share.dq);
    add(whole.dk, share.dk);
    add(whole.dv, share.dv);
  }
  return whole;
}

double worst_difference(const AttentionResult& a, const AttentionResult& b) {
  return std::max({difference(a.out, b.out), difference(a.dq, b.dq), difference(a.dk, b.dk),
                   difference(a.dv, b.dv)});
}

}  // namespace troupe::testing
