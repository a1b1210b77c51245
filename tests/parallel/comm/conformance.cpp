#include "tests/parallel/comm/conformance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/base/random.h"
#include "core/tensor/tensor.h"
#include "parallel/comm/traffic_model.h"

namespace troupe::testing {
namespace {

const std::shared_ptr<Device>& device() {
  static const std::shared_ptr<Device> device = Device::cpu();
  return device;
}

// Values of very different size, so that another order of adding gives other bits.
double value(int rank, int64_t index, DType dtype) {
  const Random random(7, "conformance", std::to_string(rank));
  if (!is_floating(dtype)) return static_cast<double>(random.below(index, 2001)) - 1000.0;
  return random.normal(index) * std::pow(10.0, static_cast<double>(random.below(index, 9, 1)) - 4);
}

Tensor tensor_of(int rank, int64_t elements, DType dtype) {
  std::vector<double> values;
  for (int64_t i = 0; i < elements; ++i) values.push_back(value(rank, i, dtype));
  return Tensor::from(values, {elements}, dtype, device());
}

// The rank-order sum by hand, in the type in which it must be added.
template <typename Wide>
std::vector<double> expected_sum(int ranks, int64_t elements, DType dtype) {
  std::vector<double> out;
  std::vector<std::vector<double>> parts;
  for (int rank = 0; rank < ranks; ++rank) {
    parts.push_back(tensor_of(rank, elements, dtype).values());
  }
  for (size_t i = 0; i < static_cast<size_t>(elements); ++i) {
    Wide sum = static_cast<Wide>(parts[0][i]);
    for (int rank = 1; rank < ranks; ++rank) {
      sum += static_cast<Wide>(parts[static_cast<size_t>(rank)][i]);
    }
    out.push_back(dtype == DType::bf16
                      ? static_cast<double>(static_cast<float>(BF16(static_cast<float>(sum))))
                      : static_cast<double>(sum));
  }
  return out;
}

std::vector<double> expected_sum_of(int ranks, int64_t elements, DType dtype) {
  if (dtype == DType::f64) return expected_sum<double>(ranks, elements, dtype);
  if (dtype == DType::f32 || dtype == DType::bf16) {
    return expected_sum<float>(ranks, elements, dtype);
  }
  return expected_sum<int64_t>(ranks, elements, dtype);
}

constexpr std::array<DType, 5> kSummed = {DType::f64, DType::f32, DType::bf16, DType::i64,
                                          DType::i32};

std::vector<double> exact_values(const Tensor& t) {
  if (is_floating(t.dtype())) return t.values();
  const std::vector<int64_t> integers = t.integers();
  return {integers.begin(), integers.end()};
}

void all_reduce_adds_in_rank_order(Communicator& world) {
  for (DType dtype : kSummed) {
    for (int64_t elements : {0, 1, 2, 7, 256, 257, 1023, 5003}) {
      const Tensor data = tensor_of(world.rank(), elements, dtype);
      world.all_reduce_sum(data.view(), "sum").finish();
      EXPECT_EQ(exact_values(data), expected_sum_of(world.size(), elements, dtype))
          << name(dtype) << " " << elements;
    }
  }
}

void all_reduce_of_many_segments(Communicator& world) {
  const int64_t elements = 1000003;
  const Tensor data = Tensor::empty({elements}, DType::f32, device());
  for (int64_t i = 0; i < elements; ++i) {
    data.data<float>()[i] = static_cast<float>(world.rank() + 1) * static_cast<float>(i % 1000);
  }
  world.all_reduce_sum(data.view(), "sum").finish();
  const int factor = world.size() * (world.size() + 1) / 2;
  int64_t wrong = 0;
  for (int64_t i = 0; i < elements; ++i) {
    wrong += data.data<float>()[i] != static_cast<float>(factor * (i % 1000)) ? 1 : 0;
  }
  EXPECT_EQ(wrong, 0);
}

void all_gather_in_rank_order(Communicator& world) {
  for (int64_t elements : {0, 1, 5, 3001}) {
    const Tensor in = tensor_of(world.rank(), elements, DType::f32);
    const Tensor out = Tensor::zeros({elements * world.size()}, DType::f32, device());
    world.all_gather(in.view(), out.view(), "gather").finish();
    std::vector<double> expected;
    for (int rank = 0; rank < world.size(); ++rank) {
      for (double x : tensor_of(rank, elements, DType::f32).values()) expected.push_back(x);
    }
    EXPECT_EQ(out.values(), expected);
  }
}

void reduce_scatter_is_a_piece_of_the_sum(Communicator& world) {
  for (DType dtype : kSummed) {
    for (int64_t elements : {0, 1, 6, 2003}) {
      const Tensor in = tensor_of(world.rank(), elements * world.size(), dtype);
      const std::vector<double> before = exact_values(in);
      const Tensor out = Tensor::zeros({elements}, dtype, device());
      world.reduce_scatter_sum(in.view(), out.view(), "scatter").finish();
      const std::vector<double> sum = expected_sum_of(world.size(), elements * world.size(), dtype);
      const auto begin = sum.begin() + elements * world.rank();
      EXPECT_EQ(exact_values(out), std::vector<double>(begin, begin + elements));
      EXPECT_EQ(exact_values(in), before) << "the input is left alone";
    }
  }
}

void broadcast_from_each_rank(Communicator& world) {
  for (int root = 0; root < world.size(); ++root) {
    for (int64_t elements : {0, 1, 4001}) {
      const Tensor data = tensor_of(world.rank(), elements, DType::f64);
      world.broadcast(data.view(), root, "from root").finish();
      EXPECT_EQ(data.values(), tensor_of(root, elements, DType::f64).values());
    }
  }
}

// rows(from, to): how many rows go from one rank to another.
void check_all_to_all(Communicator& world, int64_t width, int64_t (*rows)(int, int)) {
  std::vector<int64_t> send;
  std::vector<int64_t> receive;
  std::vector<double> values;
  std::vector<double> expected;
  const int me = world.rank();
  const auto element = [](int from, int to, int64_t i) {
    return static_cast<double>(from * 1000 + to * 100) + static_cast<double>(i % 97) / 128;
  };
  for (int peer = 0; peer < world.size(); ++peer) {
    send.push_back(rows(me, peer));
    receive.push_back(rows(peer, me));
    for (int64_t i = 0; i < rows(me, peer) * width; ++i) values.push_back(element(me, peer, i));
    for (int64_t i = 0; i < rows(peer, me) * width; ++i) expected.push_back(element(peer, me, i));
  }
  const int64_t sent = std::accumulate(send.begin(), send.end(), int64_t{0});
  const int64_t received = std::accumulate(receive.begin(), receive.end(), int64_t{0});
  const Tensor in = Tensor::from(values, {sent, width}, DType::f32, device());
  const Tensor out = Tensor::zeros({received, width}, DType::f32, device());
  world.all_to_all(in.view(), send, out.view(), receive, "rows").finish();
  EXPECT_EQ(out.values(), expected);
}

void all_to_all_uneven(Communicator& world) {
  check_all_to_all(world, 3, [](int from, int to) -> int64_t { return (from * 3 + to * 5) % 4; });
  check_all_to_all(world, 129, [](int from, int to) -> int64_t { return 7 * from + 50 * to + 1; });
  check_all_to_all(world, 64, [](int, int) -> int64_t { return 16; });
}

void all_to_all_with_empty_ranks(Communicator& world) {
  check_all_to_all(world, 5, [](int, int) -> int64_t { return 0; });
  check_all_to_all(world, 5, [](int, int to) -> int64_t { return to == 0 ? 9 : 0; });
  check_all_to_all(world, 5, [](int from, int) -> int64_t { return from == 0 ? 300 : 0; });
  check_all_to_all(world, 0, [](int, int) -> int64_t { return 2; });
}

void messages_keep_their_order(Communicator& world) {
  if (world.size() == 1) return;
  const int next = (world.rank() + 1) % world.size();
  const int previous = (world.rank() + world.size() - 1) % world.size();
  std::vector<Tensor> out;
  std::vector<Tensor> in;
  std::vector<Work> works;
  for (int64_t i = 0; i < 5; ++i) {
    out.push_back(Tensor::full({1 + i * 5000}, DType::f64, world.rank() * 10.0 + i, device()));
    in.push_back(Tensor::zeros({1 + i * 5000}, DType::f64, device()));
    works.push_back(world.send(out.back().view(), next, "ring"));
  }
  for (const Tensor& t : in) works.push_back(world.receive(t.view(), previous, "ring"));
  for (Work& work : works) work.finish();
  for (int64_t i = 0; i < 5; ++i) {
    const std::vector<double> values = in[static_cast<size_t>(i)].values();
    EXPECT_EQ(values, std::vector<double>(values.size(), previous * 10.0 + i));
  }
}

void works_may_be_awaited_in_any_order(Communicator& world) {
  constexpr int kWorks = 6;
  std::vector<Tensor> data;
  std::vector<Work> works;
  for (int i = 0; i < kWorks; ++i) {
    data.push_back(Tensor::full({3000 + i}, DType::f64, world.rank() + i, device()));
    works.push_back(world.all_reduce_sum(data.back().view(), "many"));
  }
  // Each rank another order.
  for (int i = 0; i < kWorks; ++i) {
    const int turned = (i + 2 * world.rank()) % kWorks;
    works[static_cast<size_t>(world.rank() % 2 == 0 ? turned : kWorks - 1 - turned)].finish();
  }
  for (int i = 0; i < kWorks; ++i) {
    const double expected = i * world.size() + world.size() * (world.size() - 1) / 2.0;
    EXPECT_EQ(data[static_cast<size_t>(i)].values(), std::vector<double>(3000 + i, expected));
  }
}

void done_makes_progress(Communicator& world) {
  const Tensor data = Tensor::full({300000}, DType::f32, 1.0, device());
  Work work = world.all_reduce_sum(data.view(), "polled");
  while (!work.done()) {
  }
  work.finish();
  EXPECT_EQ(data.values(), std::vector<double>(300000, world.size()));
  world.barrier("after").finish();
}

void splits_are_groups_of_their_own(Communicator& world) {
  const int me = world.rank();
  auto parity = world.split(me % 2, 0, "parity");
  ASSERT_NE(parity, nullptr);
  EXPECT_EQ(parity->rank(), me / 2);
  EXPECT_EQ(parity->size(), (world.size() + (me % 2 == 0 ? 1 : 0)) / 2);
  EXPECT_EQ(parity->name(), "parity");
  auto reversed = world.split(0, -me, "reversed");
  EXPECT_EQ(reversed->rank(), world.size() - 1 - me);
  auto nested = parity->split(0, -parity->rank(), "nested");
  EXPECT_EQ(nested->rank(), parity->size() - 1 - parity->rank());
  auto first = world.split(me == 0 ? 0 : -1, 0, "first");
  EXPECT_EQ(first == nullptr, me != 0);

  // Operations of all groups at the same time do not mix.
  const Tensor a = Tensor::full({2000}, DType::f64, me, device());
  const Tensor b = Tensor::full({2000}, DType::f64, me, device());
  const Tensor c = Tensor::full({2000}, DType::f64, me, device());
  const Tensor gathered = Tensor::zeros({world.size()}, DType::f64, device());
  const Tensor mine = Tensor::full({1}, DType::f64, me, device());
  Work works[] = {world.all_reduce_sum(a.view(), "a"), parity->all_reduce_sum(b.view(), "b"),
                  nested->all_reduce_sum(c.view(), "c"),
                  reversed->all_gather(mine.view(), gathered.view(), "d")};
  for (Work& work : works) work.finish();
  double all = 0;
  double same_parity = 0;
  for (int rank = 0; rank < world.size(); ++rank) {
    all += rank;
    if (rank % 2 == me % 2) same_parity += rank;
    EXPECT_EQ(gathered.values()[static_cast<size_t>(rank)], world.size() - 1 - rank);
  }
  EXPECT_EQ(a.values(), std::vector<double>(2000, all));
  EXPECT_EQ(b.values(), std::vector<double>(2000, same_parity));
  EXPECT_EQ(c.values(), std::vector<double>(2000, same_parity));
}

void groups_can_be_made_again_and_again(Communicator& world) {
  for (int i = 0; i < 1200; ++i) {
    auto group = world.split(0, 0, "again");
    if (i % 400 == 0) group->barrier("again").finish();
  }
}

void traffic_is_what_the_model_says(Communicator& outer) {
  auto world = outer.split(0, 0, "counted");
  const int size = world->size();
  const Tensor data = Tensor::zeros({1001}, DType::f64, device());
  const Tensor small = Tensor::zeros({3}, DType::f32, device());
  const Tensor gathered = Tensor::zeros({1001 * size}, DType::f64, device());
  for (int i = 0; i < 2; ++i) world->all_reduce_sum(data.view(), "big").finish();
  world->all_reduce_sum(small.view(), "small").finish();
  world->all_gather(data.view(), gathered.view(), "g").finish();
  world->reduce_scatter_sum(gathered.view(), data.view(), "g").finish();
  world->barrier("b").finish();
  const TrafficTable& traffic = world->traffic();
  const auto expect = [&](CollectiveKind kind, const char* site, int64_t calls, int64_t bytes) {
    const auto found = traffic.find({kind, site});
    ASSERT_NE(found, traffic.end()) << site;
    EXPECT_EQ(found->second.calls, calls) << site;
    EXPECT_EQ(found->second.bytes, bytes) << site;
  };
  expect(CollectiveKind::all_reduce, "big", 2,
         2 * all_reduce_bytes_sent(1001, 8, world->rank(), size));
  expect(CollectiveKind::all_reduce, "small", 1, 12 * (size - 1));
  expect(CollectiveKind::all_gather, "g", 1, 1001 * 8 * (size - 1));
  expect(CollectiveKind::reduce_scatter, "g", 1, 1001 * 8 * (size - 1));
  expect(CollectiveKind::barrier, "b", 1, 0);
  // All ranks together send each element to its summing rank and the sum back.
  const Tensor sent =
      Tensor::full({1}, DType::f64, all_reduce_bytes_sent(1001, 8, world->rank(), size), device());
  world->all_reduce_sum(sent.view(), "total").finish();
  EXPECT_EQ(sent.item(), 2.0 * 1001 * 8 * (size - 1));
}

// Messages and bytes by receiver, whatever group they were sent in.
void sent_is_counted_by_receiver(Communicator& outer) {
  auto group = outer.split(0, -outer.rank(), "backwards");  // group rank r is world rank size-1-r
  const int size = outer.size();
  const auto before = outer.world().sent();
  ASSERT_EQ(before.size(), static_cast<size_t>(size));
  const Tensor data = Tensor::zeros({10, 2}, DType::f32, device());
  std::vector<int64_t> rows(static_cast<size_t>(size), 0);
  std::vector<int64_t> from(static_cast<size_t>(size), 0);
  // Rank r of the group sends r + 1 rows to the next one, nothing to the others.
  const int me = group->rank();
  const int next = (me + 1) % size;
  const int last = (me + size - 1) % size;
  rows[static_cast<size_t>(next)] = me + 1;
  from[static_cast<size_t>(last)] = last + 1;
  const auto head = [&](int count) { return data.strided({count, 2}, {2, 1}, 0).view(); };
  const Tensor out = Tensor::zeros({size == 1 ? 1 : last + 1, 2}, DType::f32, device());
  group->all_to_all(head(me + 1), rows, out.view(), from, "rows").finish();
  for (int peer = 0; peer < size; ++peer) {
    const Sent& was = before[static_cast<size_t>(size - 1 - peer)];
    const Sent& is = outer.world().sent()[static_cast<size_t>(size - 1 - peer)];
    const bool to = peer == next && peer != me;
    EXPECT_EQ(is.bytes - was.bytes, to ? (me + 1) * 8 : 0) << peer;
    // Nothing is a message too: sizes are compared.
    EXPECT_EQ(is.messages > was.messages, peer != me) << peer;
  }
  EXPECT_EQ(&group->world().sent(), &outer.world().sent());
  // Unless the two ranks never have rows for each other.
  std::vector<char> partners(static_cast<size_t>(size), 0);
  partners[static_cast<size_t>(next)] = partners[static_cast<size_t>(last)] = 1;
  group->set_partners(partners);
  const auto between = outer.world().sent();
  group->all_to_all(head(me + 1), rows, out.view(), from, "rows").finish();
  for (int peer = 0; peer < size; ++peer) {
    const auto at = static_cast<size_t>(size - 1 - peer);
    EXPECT_EQ(outer.world().sent()[at].messages > between[at].messages,
              peer != me && partners[static_cast<size_t>(peer)] != 0)
        << peer;
  }
}

void wrong_arguments_are_refused(Communicator& world) {
  const Tensor a = Tensor::zeros({4, 6}, DType::f32, device());
  const Tensor turned = a.strided({6, 4}, {1, 6}, 0);
  EXPECT_THROW(world.all_reduce_sum(turned.view(), "turned"), Error);
  EXPECT_THROW(world.all_gather(a.view(), a.strided({5}, {1}, 0).view(), "size"), Error);
  EXPECT_THROW(world.broadcast(a.view(), world.size(), "root"), Error);
  const std::vector<int64_t> rows(static_cast<size_t>(world.size()), 3);
  EXPECT_THROW(world.all_to_all(a.view(), rows, a.view(), rows, "rows"), Error);
  EXPECT_THROW(world.send(a.view(), world.rank(), "itself"), Error);
}

uint64_t mix(uint64_t hash, const void* data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace

const std::vector<ConformanceCase>& conformance_cases() {
  static const std::vector<ConformanceCase> cases = {
      {"AllReduceAddsInRankOrder", all_reduce_adds_in_rank_order},
      {"AllReduceOfManySegments", all_reduce_of_many_segments},
      {"AllGatherInRankOrder", all_gather_in_rank_order},
      {"ReduceScatterIsAPieceOfTheSum", reduce_scatter_is_a_piece_of_the_sum},
      {"BroadcastFromEachRank", broadcast_from_each_rank},
      {"AllToAllUneven", all_to_all_uneven},
      {"AllToAllWithEmptyRanks", all_to_all_with_empty_ranks},
      {"MessagesKeepTheirOrder", messages_keep_their_order},
      {"WorksMayBeAwaitedInAnyOrder", works_may_be_awaited_in_any_order},
      {"DoneMakesProgress", done_makes_progress},
      {"SplitsAreGroupsOfTheirOwn", splits_are_groups_of_their_own},
      {"GroupsCanBeMadeAgainAndAgain", groups_can_be_made_again_and_again},
      {"TrafficIsWhatTheModelSays", traffic_is_what_the_model_says},
      {"SentIsCountedByReceiver", sent_is_counted_by_receiver},
      {"WrongArgumentsAreRefused", wrong_arguments_are_refused},
  };
  return cases;
}

uint64_t conformance_hash(Communicator& world) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (DType dtype : kSummed) {
    for (int64_t elements : {1, 5, 1000, 7919}) {
      const Tensor data = tensor_of(world.rank(), elements, dtype);
      world.all_reduce_sum(data.view(), "hash").finish();
      hash = mix(hash, data.view().data, data.bytes());
      const Tensor in = tensor_of(world.rank(), elements * world.size(), dtype);
      const Tensor piece = Tensor::zeros({elements}, dtype, device());
      world.reduce_scatter_sum(in.view(), piece.view(), "hash").finish();
      hash = mix(hash, piece.view().data, piece.bytes());
    }
  }
  // The same on every rank: the hash of all ranks' hashes.
  std::vector<uint64_t> all(static_cast<size_t>(world.size()));
  const View mine{&hash, DType::i64, {1}, {1}, DeviceKind::cpu};
  const View out{all.data(), DType::i64, {world.size()}, {1}, DeviceKind::cpu};
  world.all_gather(mine, out, "hash").finish();
  return mix(0xcbf29ce484222325ULL, all.data(), all.size() * sizeof(uint64_t));
}

}  // namespace troupe::testing
