#include "parallel/comm/operation.h"

#include <algorithm>

#include "parallel/comm/backoff.h"

namespace troupe {

void RankState::progress() {
  // Operations neither start nor end inside progress(), so the list does not change here.
  for (Operation* operation : active) operation->progress();
}

Tensor RankState::scratch(int64_t bytes) {
  return Tensor::empty({bytes}, DType::u8, device, MemoryKind::communication);
}

GroupState::~GroupState() {
  if (shared != nullptr && size() > 1) shared->used_ids.reset(static_cast<size_t>(id));
}

void Exchange::send(int to, const void* data, int64_t bytes, int tag) {
  Transport& transport = *group_->shared->transport;
  const int64_t chunk = group_->shared->options.chunk_bytes;
  const int receiver = group_->members[static_cast<size_t>(to)];
  Sent& sent = group_->shared->sent[static_cast<size_t>(receiver)];
  for (int64_t at = 0; at < bytes; at += chunk) {
    const int64_t piece = std::min(chunk, bytes - at);
    ++sent.messages;
    sent.bytes += piece;
    auto transfer = transport.start_send(receiver, static_cast<const char*>(data) + at, piece, tag);
    running_.push_back({to, std::move(transfer)});
  }
}

void Exchange::receive(int from, void* data, int64_t bytes, int tag) {
  Transport& transport = *group_->shared->transport;
  const int64_t chunk = group_->shared->options.chunk_bytes;
  for (int64_t at = 0; at < bytes; at += chunk) {
    auto transfer =
        transport.start_receive(group_->members[static_cast<size_t>(from)],
                                static_cast<char*>(data) + at, std::min(chunk, bytes - at), tag);
    running_.push_back({from, std::move(transfer)});
  }
}

bool Exchange::done() {
  std::erase_if(running_, [](const Running& running) { return running.transfer->done(); });
  return running_.empty();
}

std::vector<int> Exchange::pending() const {
  std::vector<int> peers;
  for (const Running& running : running_) peers.push_back(running.peer);
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

int message_tag(const GroupState& group, uint32_t sequence, Stage stage) {
  // 10 bits of group, 19 of sequence, 2 of stage. Sequences wrap: far fewer operations than 2^19
  // run at the same time.
  return group.id << 21 | static_cast<int>(sequence & 0x7ffffU) << 2 | static_cast<int>(stage);
}

Operation::Operation(std::shared_ptr<GroupState> group, CollectiveKind kind, std::string site)
    : group_(std::move(group)), kind_(kind), site_(std::move(site)) {
  // Sends and receives are matched by order, since only two ranks of the group take part.
  const bool pair = kind_ == CollectiveKind::send || kind_ == CollectiveKind::receive;
  sequence_ = pair ? 0 : group_->sequence++;
  group_->shared->transport->check();
  group_->shared->active.push_back(this);
}

Operation::~Operation() { std::erase(group_->shared->active, this); }

bool Operation::done() {
  if (finished_) return true;
  progress();
  if (!finished_) group_->shared->transport->check();
  return finished_;
}

void Operation::wait() {
  RankState& shared = *group_->shared;
  Backoff backoff(shared.transport->may_spin());
  while (true) {
    shared.progress();
    if (finished_) return;
    shared.transport->check();
    if (backoff.waited() > shared.options.timeout) fail_late();
    backoff.pause();
  }
}

void Operation::fail_late() const {
  std::string peers;
  for (int peer : pending()) {
    const int world_rank = group_->members[static_cast<size_t>(peer)];
    peers += fmt::format("{}{}", peers.empty() ? "" : ", ", world_rank);
  }
  const double seconds = std::chrono::duration<double>(group_->shared->options.timeout).count();
  fail(ExitCode::distributed,
       "no answer from rank {} within {:g} s: {} \"{}\" in group {} of {} ranks (operation {}), "
       "awaited by rank {}. The rank hangs, is stopped or waits for another one; raise "
       "runtime.timeout if it is only slow",
       peers, seconds, troupe::name(kind_), site_, group_->name, group_->size(), sequence_,
       group_->shared->transport->rank());
}

}  // namespace troupe
