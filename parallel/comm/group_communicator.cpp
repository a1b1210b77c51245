#include "parallel/comm/group_communicator.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "parallel/comm/host_stage.h"
#include "parallel/comm/reduction.h"
#include "parallel/comm/status_board.h"
#include "parallel/comm/traffic_model.h"

namespace troupe {
namespace {

int64_t bytes_of(const View& view) {
  return view.elements() * static_cast<int64_t>(size_of(view.dtype));
}

void check_view(const View& view, CollectiveKind kind, const std::string& site) {
  require(view.contiguous(), "{} \"{}\" needs contiguous memory, got shape {} with strides {}",
          name(kind), site, view.shape.text(), view.strides.text());
}

void check_same(const View& in, const View& out, CollectiveKind kind, const std::string& site) {
  check_view(in, kind, site);
  check_view(out, kind, site);
  require(in.dtype == out.dtype, "{} \"{}\" from {} to {}", name(kind), site, name(in.dtype),
          name(out.dtype));
  require(in.device == out.device, "{} \"{}\" from {} to {} memory", name(kind), site,
          name(in.device), name(out.device));
}

// memcpy does not take the null pointers of empty tensors.
void copy_bytes(void* to, const void* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

char* offset(const View& view, int64_t bytes) { return static_cast<char*>(view.data) + bytes; }

bool on_host(const View& view) { return view.device == DeviceKind::cpu; }

// An operation on one view, or from one to another, through host memory.
template <typename Start>
Work in_place(const std::shared_ptr<Device>& device, const View& data, bool reads, bool writes,
              Start start) {
  auto stage = std::make_unique<HostStage>(device, data, reads);
  Work running = start(stage->view());
  if (!writes) return staged(std::move(running), std::move(stage), nullptr);
  return staged(std::move(running), nullptr, std::move(stage));
}
template <typename Start>
Work from_to(const std::shared_ptr<Device>& device, const View& in, const View& out, Start start) {
  auto from = std::make_unique<HostStage>(device, in, true);
  auto to = std::make_unique<HostStage>(device, out, false);
  Work running = start(from->view(), to->view());
  return staged(std::move(running), std::move(from), std::move(to));
}

}  // namespace

std::shared_ptr<Communicator> GroupCommunicator::of_all(std::unique_ptr<Transport> transport,
                                                        const CommOptions& options) {
  auto group = std::make_shared<GroupState>();
  group->shared = std::make_shared<RankState>();
  group->members.resize(static_cast<size_t>(transport->size()));
  std::iota(group->members.begin(), group->members.end(), 0);
  group->rank = transport->rank();
  group->name = "world";
  group->shared->options = options;
  group->shared->set_device(Device::cpu(1));
  group->shared->used_ids.set(0);
  group->shared->sent_to.resize(static_cast<size_t>(transport->size()));
  group->shared->transport = std::move(transport);
  return std::make_shared<GroupCommunicator>(std::move(group));
}

void GroupCommunicator::count(CollectiveKind kind, const std::string& site, int64_t bytes) {
  Traffic& traffic = traffic_[{kind, site}];
  ++traffic.calls;
  traffic.bytes += bytes;
}

void GroupCommunicator::check_peer(int peer, const char* what) const {
  require(peer >= 0 && peer < size(), "{} {} in group {} of {} ranks", what, peer, group_->name,
          size());
}

Work GroupCommunicator::barrier(const std::string& site) {
  count(CollectiveKind::barrier, site, 0);
  if (size() == 1) return Work();
  // One byte from each to each; what it holds does not matter, so all may use the same places.
  static const char token = 1;
  class Barrier final : public Operation {
   public:
    Barrier(std::shared_ptr<GroupState> group, const std::string& site)
        : Operation(std::move(group), {CollectiveKind::barrier, site}),
          received_(static_cast<size_t>(group_->size())),
          exchange_(*group_, check()) {
      const int tag = message_tag(*group_, sequence_, Stage::first);
      for (int peer = 0; peer < group_->size(); ++peer) {
        if (peer == group_->rank) continue;
        exchange_.receive(peer, &received_[static_cast<size_t>(peer)], 1, tag);
        exchange_.send(peer, &token, 1, tag);
      }
    }

   private:
    bool advance() override { return exchange_.done(); }
    std::vector<int> pending() const override { return exchange_.pending(); }
    std::vector<char> received_;
    Exchange exchange_;
  };
  return Work(std::make_unique<Barrier>(group_, site));
}

Work GroupCommunicator::broadcast(View data, int root, const std::string& site) {
  check_view(data, CollectiveKind::broadcast, site);
  check_peer(root, "broadcast from rank");
  if (!on_host(data)) {
    return in_place(group_->shared->device, data, rank() == root, rank() != root,
                    [&](View host) { return broadcast(host, root, site); });
  }
  const int64_t bytes = bytes_of(data);
  count(CollectiveKind::broadcast, site, rank() == root ? bytes * (size() - 1) : 0);
  if (size() == 1) return Work();
  auto work = std::make_unique<OneRound>(
      group_, OperationKind{CollectiveKind::broadcast, site, bytes, root});
  if (rank() != root) {
    work->exchange().receive(root, data.data, bytes, work->tag());
  } else {
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != root) work->exchange().send(peer, data.data, bytes, work->tag());
    }
  }
  return Work(std::move(work));
}

Work GroupCommunicator::all_reduce_sum(View data, const std::string& site) {
  check_view(data, CollectiveKind::all_reduce, site);
  if (!on_host(data)) {
    return in_place(group_->shared->device, data, true, true,
                    [&](View host) { return all_reduce_sum(host, site); });
  }
  const int64_t elements = data.elements();
  const auto element_bytes = static_cast<int64_t>(size_of(data.dtype));
  require(data.dtype != DType::u8, "all_reduce \"{}\" of u8", site);
  count(CollectiveKind::all_reduce, site,
        all_reduce_bytes_sent(elements, element_bytes, rank(), size()));
  if (size() == 1) return Work();
  const OperationKind kind{CollectiveKind::all_reduce, site, elements * element_bytes};
  if (kind.bytes <= kDirectSumBytes) {
    return Work(std::make_unique<DirectSum>(group_, kind, data));
  }
  std::vector<int64_t> begins;
  for (int peer = 0; peer <= size(); ++peer) begins.push_back(piece_begin(elements, peer, size()));
  return Work(
      std::make_unique<PiecewiseSum>(group_, kind, data, std::move(begins), data.data, true));
}

Work GroupCommunicator::all_gather(View in, View out, const std::string& site) {
  check_same(in, out, CollectiveKind::all_gather, site);
  if (!on_host(in)) {
    return from_to(group_->shared->device, in, out,
                   [&](View from, View to) { return all_gather(from, to, site); });
  }
  require(out.elements() == in.elements() * size(),
          "all_gather \"{}\" of {} elements from {} ranks into {}", site, in.elements(), size(),
          out.elements());
  const int64_t bytes = bytes_of(in);
  count(CollectiveKind::all_gather, site, bytes * (size() - 1));
  copy_bytes(offset(out, bytes * rank()), in.data, bytes);
  if (size() == 1) return Work();
  auto work =
      std::make_unique<OneRound>(group_, OperationKind{CollectiveKind::all_gather, site, bytes});
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    work->exchange().receive(peer, offset(out, bytes * peer), bytes, work->tag());
  }
  for (int peer = 0; peer < size(); ++peer) {
    if (peer != rank()) work->exchange().send(peer, in.data, bytes, work->tag());
  }
  return Work(std::move(work));
}

Work GroupCommunicator::reduce_scatter_sum(View in, View out, const std::string& site) {
  check_same(in, out, CollectiveKind::reduce_scatter, site);
  if (!on_host(in)) {
    return from_to(group_->shared->device, in, out,
                   [&](View from, View to) { return reduce_scatter_sum(from, to, site); });
  }
  require(in.elements() == out.elements() * size(),
          "reduce_scatter \"{}\" of {} elements over {} ranks into {}", site, in.elements(), size(),
          out.elements());
  require(in.dtype != DType::u8, "reduce_scatter \"{}\" of u8", site);
  count(CollectiveKind::reduce_scatter, site, bytes_of(out) * (size() - 1));
  if (size() == 1) {
    copy_bytes(out.data, in.data, bytes_of(in));
    return Work();
  }
  std::vector<int64_t> begins;
  for (int peer = 0; peer <= size(); ++peer) begins.push_back(out.elements() * peer);
  const OperationKind kind{CollectiveKind::reduce_scatter, site, bytes_of(out)};
  return Work(std::make_unique<PiecewiseSum>(group_, kind, in, std::move(begins), out.data, false));
}

Work GroupCommunicator::all_to_all(View in, std::span<const int64_t> send_rows, View out,
                                   std::span<const int64_t> recv_rows, const std::string& site) {
  check_same(in, out, CollectiveKind::all_to_all, site);
  if (!on_host(in)) {
    return from_to(group_->shared->device, in, out, [&](View from, View to) {
      return all_to_all(from, send_rows, to, recv_rows, site);
    });
  }
  require(send_rows.size() == group_->members.size() && recv_rows.size() == send_rows.size(),
          "all_to_all \"{}\": {} and {} row counts for {} ranks", site, send_rows.size(),
          recv_rows.size(), size());
  const int64_t sent = std::accumulate(send_rows.begin(), send_rows.end(), int64_t{0});
  const int64_t received = std::accumulate(recv_rows.begin(), recv_rows.end(), int64_t{0});
  int64_t row_elements = 1;
  int64_t out_row_elements = 1;
  for (int i = 1; i < in.shape.rank(); ++i) row_elements *= in.shape[i];
  for (int i = 1; i < out.shape.rank(); ++i) out_row_elements *= out.shape[i];
  require(in.shape.rank() >= 1 && out.shape.rank() >= 1 && in.shape[0] == sent &&
              out.shape[0] == received && row_elements == out_row_elements,
          "all_to_all \"{}\" of {} rows in {} and {} rows in {}", site, sent, in.shape.text(),
          received, out.shape.text());
  const int64_t row_bytes = row_elements * static_cast<int64_t>(size_of(in.dtype));
  const auto me = static_cast<size_t>(rank());
  require(send_rows[me] == recv_rows[me], "all_to_all \"{}\": rank {} sends itself {} rows, not {}",
          site, me, send_rows[me], recv_rows[me]);
  count(CollectiveKind::all_to_all, site, (sent - send_rows[me]) * row_bytes);

  std::unique_ptr<OneRound> work;
  if (size() > 1) {
    OperationKind kind{CollectiveKind::all_to_all, site, row_bytes};
    kind.sent = (sent - send_rows[me]) * row_bytes;
    if (group_->shared->options.check_collectives) {
      for (const int64_t rows : send_rows) kind.to.push_back(rows * row_bytes);
      for (const int64_t rows : recv_rows) kind.from.push_back(rows * row_bytes);
    }
    work = std::make_unique<OneRound>(group_, kind);
  }
  const auto length = [&](int peer) {
    const auto& partners = group_->partners;
    return partners.empty() || partners[static_cast<size_t>(peer)] != 0 ? Length::told
                                                                        : Length::known;
  };
  int64_t at = 0;
  for (int peer = 0; peer < size(); ++peer) {
    const int64_t bytes = recv_rows[static_cast<size_t>(peer)] * row_bytes;
    if (peer != rank())
      work->exchange().receive(peer, offset(out, at), bytes, work->tag(), length(peer));
    at += bytes;
  }
  at = 0;
  int64_t own_at = 0;
  for (int peer = 0; peer < size(); ++peer) {
    const int64_t bytes = send_rows[static_cast<size_t>(peer)] * row_bytes;
    if (peer == rank()) own_at = at;
    if (peer != rank())
      work->exchange().send(peer, offset(in, at), bytes, work->tag(), length(peer));
    at += bytes;
  }
  // The own rows last: they are copied while the others travel.
  const int64_t before = std::accumulate(recv_rows.begin(), recv_rows.begin() + rank(), int64_t{0});
  copy_bytes(offset(out, before * row_bytes), offset(in, own_at), send_rows[me] * row_bytes);
  return work == nullptr ? Work() : Work(std::move(work));
}

void GroupCommunicator::set_partners(std::vector<char> partners) {
  require(partners.size() == group_->members.size(), "{} partners in a group of {} ranks",
          partners.size(), size());
  group_->partners = std::move(partners);
}

Work GroupCommunicator::send(View data, int to, const std::string& site) {
  check_view(data, CollectiveKind::send, site);
  if (!on_host(data)) {
    return in_place(group_->shared->device, data, true, false,
                    [&](View host) { return send(host, to, site); });
  }
  check_peer(to, "send to rank");
  require(to != rank(), "send \"{}\" from rank {} to itself", site, to);
  count(CollectiveKind::send, site, bytes_of(data));
  auto work = std::make_unique<OneRound>(
      group_, OperationKind{CollectiveKind::send, site, bytes_of(data), to});
  work->exchange().send(to, data.data, bytes_of(data),
                        message_tag(*group_, 0, Stage::point_to_point));
  return Work(std::move(work));
}

Work GroupCommunicator::receive(View data, int from, const std::string& site) {
  check_view(data, CollectiveKind::receive, site);
  if (!on_host(data)) {
    return in_place(group_->shared->device, data, false, true,
                    [&](View host) { return receive(host, from, site); });
  }
  check_peer(from, "receive from rank");
  require(from != rank(), "receive \"{}\" of rank {} from itself", site, from);
  count(CollectiveKind::receive, site, 0);
  auto work = std::make_unique<OneRound>(
      group_, OperationKind{CollectiveKind::receive, site, bytes_of(data), from});
  work->exchange().receive(from, data.data, bytes_of(data),
                           message_tag(*group_, 0, Stage::point_to_point));
  return Work(std::move(work));
}

std::unique_ptr<Communicator> GroupCommunicator::split(int color, int key,
                                                       const std::string& name) {
  struct Entry {
    int64_t color;
    int64_t key;
    std::array<uint64_t, kMaxGroups / 64> used;
  };
  RankState& shared = *group_->shared;
  Entry mine{color, key, {}};
  for (size_t id = 0; id < kMaxGroups; ++id) {
    if (shared.used_ids.test(id)) mine.used[id / 64] |= uint64_t{1} << id % 64;
  }
  std::vector<Entry> entries(static_cast<size_t>(size()));
  const auto view = [](Entry* data, size_t count) {
    const auto bytes = static_cast<int64_t>(count * sizeof(Entry));
    return View{data, DType::u8, {bytes}, {1}, DeviceKind::cpu};
  };
  all_gather(view(&mine, 1), view(entries.data(), entries.size()), "split " + name).finish();
  if (color < 0) return nullptr;

  std::vector<int> ranks;  // of this group
  for (int peer = 0; peer < size(); ++peer) {
    if (entries[static_cast<size_t>(peer)].color == color) ranks.push_back(peer);
  }
  std::stable_sort(ranks.begin(), ranks.end(), [&](int a, int b) {
    return entries[static_cast<size_t>(a)].key < entries[static_cast<size_t>(b)].key;
  });
  auto group = std::make_shared<GroupState>();
  GroupIds used;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const Entry& entry = entries[static_cast<size_t>(ranks[i])];
    if (ranks[i] == rank()) group->rank = static_cast<int>(i);
    group->members.push_back(group_->members[static_cast<size_t>(ranks[i])]);
    for (size_t id = 0; id < kMaxGroups; ++id) {
      if (entry.used[id / 64] >> id % 64 & 1) used.set(id);
    }
  }
  // The first id that no member uses: all members find the same one.
  if (group->size() > 1) {
    while (group->id < kMaxGroups && used.test(static_cast<size_t>(group->id))) ++group->id;
    require(group->id < kMaxGroups, "more than {} groups of ranks are in use", kMaxGroups);
    shared.used_ids.set(static_cast<size_t>(group->id));
    shared.transport->board()->own().counts().forget_group(group->id);
  }
  group->name = name;
  group->shared = group_->shared;
  return std::make_unique<GroupCommunicator>(std::move(group));
}

}  // namespace troupe
