#include "parallel/comm/operation.h"

#include <algorithm>
#include <cstring>

#include "core/base/trace.h"
#include "parallel/comm/backoff.h"
#include "parallel/comm/diagnosis.h"
#include "parallel/comm/rank_report.h"
#include "parallel/comm/signature.h"
#include "parallel/comm/status_board.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

// A wait shorter than this is nobody's business.
constexpr auto kShowAfter = milliseconds(50);
// With runtime.check_collectives: when to look for ranks that wait in a circle, and again.
constexpr auto kLookAfter = milliseconds(1500);
constexpr auto kLookAgain = milliseconds(1000);
// How long the others may take to say what they do. The time lies before the deadline, so that the
// report comes with it.
constexpr auto kGather = milliseconds(800);
// How long a rank leaves the report to the one that was first.
constexpr auto kDefer = milliseconds(5000);

template <size_t N>
void copy_name(std::array<char, N>& to, const std::string& from) {
  const size_t length = std::min(from.size(), N - 1);
  std::memcpy(to.data(), from.data(), length);
  to[length] = '\0';
}

uint32_t key_of(const GroupState& group, const OperationKind& kind) {
  if (kind.kind != CollectiveKind::send && kind.kind != CollectiveKind::receive) {
    return collective_key(group.id);
  }
  const int peer = group.members[static_cast<size_t>(kind.peer)];
  return kind.kind == CollectiveKind::send ? send_key(group.id, peer) : receive_key(group.id, peer);
}

}  // namespace

void RankState::progress() {
  // Operations neither start nor end inside progress(), so the list does not change here.
  for (Operation* operation : active) operation->progress();
}

void RankState::set_device(const std::shared_ptr<Device>& own) {
  device = own;
  scratch_device = own->host_readable() ? own : Device::cpu(1);
}

Tensor RankState::scratch(int64_t bytes) {
  return Tensor::empty({bytes}, DType::u8, scratch_device, MemoryKind::communication);
}

void RankState::show_status() { transport->board()->own().write(status); }

GroupState::~GroupState() {
  if (shared != nullptr && size() > 1) shared->used_ids.reset(static_cast<size_t>(id));
}

void Exchange::send(int to, const void* data, int64_t bytes, int tag, Length length) {
  // Only read from.
  add({to, true, static_cast<char*>(const_cast<void*>(data)), bytes, tag}, length);
}

void Exchange::receive(int from, void* data, int64_t bytes, int tag, Length length) {
  add({from, false, static_cast<char*>(data), bytes, tag}, length);
}

void Exchange::add(const Message& whole, Length length) {
  const int64_t chunk = group_->shared->options.chunk_bytes;
  const auto one = [&](int64_t at, int64_t bytes) {
    const Message message{whole.peer, whole.is_send, at == 0 ? whole.data : whole.data + at, bytes,
                          whole.tag};
    if (check_ == nullptr || check_->passed()) {
      start(message);
    } else {
      waiting_.push_back(message);
    }
  };
  int64_t at = 0;
  for (; at < whole.bytes; at += chunk) one(at, std::min(chunk, whole.bytes - at));
  // The last message is shorter than a chunk: then two lengths differ in some message.
  if (length == Length::told && at == whole.bytes) one(0, 0);
}

void Exchange::start(const Message& message) {
  Transport& transport = *group_->shared->transport;
  const int peer = group_->members[static_cast<size_t>(message.peer)];
  if (message.is_send && counted_) {
    Sent& sent = group_->shared->sent_to[static_cast<size_t>(peer)];
    ++sent.messages;
    sent.bytes += message.bytes;
  }
  auto transfer = message.is_send
                      ? transport.start_send(peer, message.data, message.bytes, message.tag)
                      : transport.start_receive(peer, message.data, message.bytes, message.tag);
  running_.push_back({message.peer, std::move(transfer)});
}

bool Exchange::done() {
  if (!waiting_.empty()) {
    if (!check_->passed()) return false;
    for (const Message& message : waiting_) start(message);
    waiting_.clear();
  }
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

struct Operation::Circle {
  std::chrono::steady_clock::time_point next;
  std::vector<SeenRank> before;
};

Operation::Operation(std::shared_ptr<GroupState> group, const OperationKind& kind)
    : group_(std::move(group)) {
  RankState& shared = *group_->shared;
  // Sends and receives are matched by order, since only two ranks of the group take part.
  const bool pair = kind.kind == CollectiveKind::send || kind.kind == CollectiveKind::receive;
  sequence_ = pair ? 0 : group_->sequence++;
  shared.transport->check();
  note_.bytes = kind.bytes;
  note_.key = key_of(*group_, kind);
  note_.number = shared.transport->board()->own().counts().begin(note_.key);
  note_.kind = kind.kind;
  note_.position = shared.at;
  note_.group_size = group_->size();
  copy_name(note_.group, group_->name);
  copy_name(note_.site, kind.site);
  ++shared.status.started;
  if (Trace* trace = shared.trace()) {
    traced_ =
        trace->begin_message(kind.site, name(kind.kind), group_->name,
                             kind.kind == CollectiveKind::all_to_all ? kind.sent : kind.bytes);
  }
  if (shared.options.check_collectives) {
    check_ = std::make_unique<SignatureCheck>(*group_, kind, note_, sequence_);
  }
  shared.active.push_back(this);
}

Operation::~Operation() { std::erase(group_->shared->active, this); }

void Operation::go_on() {
  try {
    if (check_ != nullptr && !check_->passed()) {
      if (!has_turn()) return;
      check_->advance();
      if (!check_->passed()) return;
    }
    finished_ = advance();
  } catch (const SizeMismatch& mismatch) {
    throw RankReport(fmt::format("the operations of the ranks differ: {}; rank {} is in {}",
                                 mismatch.what(), group_->shared->transport->rank(), note_.text()),
                     reports());
  } catch (const Difference& difference) {
    throw RankReport(difference.what(), reports());
  }
  if (!finished_) return;
  RankState& shared = *group_->shared;
  if (Trace* trace = shared.trace(); trace != nullptr && traced_ != SIZE_MAX) {
    trace->end_message(traced_);
  }
  group_->last_finished = note_;
  group_->any_finished = true;
  ++shared.status.finished;
  shared.status.last = note_;
  shared.status.since_ms = steady_ms();
  shared.show_status();
}

bool Operation::has_turn() {
  if (note_.kind != CollectiveKind::send && note_.kind != CollectiveKind::receive) return true;
  for (Operation* earlier : group_->shared->active) {
    if (earlier == this) break;
    if (earlier->note_.key != note_.key || earlier->check_ == nullptr) continue;
    earlier->progress();
    if (!earlier->check_->passed()) return false;
  }
  return true;
}

bool Operation::reports() {
  StatusBoard& board = *group_->shared->transport->board();
  if (!board.claim_report()) return false;
  board.look(kGather, {});  // tells the ranks of other hosts, and hears whether one was first
  return board.keeps_report();
}

bool Operation::done() {
  if (finished_) return true;
  progress();
  if (!finished_) group_->shared->transport->check();
  return finished_;
}

void Operation::finish() {
  RankState& shared = *group_->shared;
  Backoff backoff(shared.transport->may_spin());
  while (true) {
    shared.progress();
    if (finished_) break;
    shared.transport->check();
    if (backoff.waited() > kShowAfter) look_around(backoff.waited());
    backoff.pause();
  }
  if (shown_waiting_) show_going_on();
}

std::vector<int> Operation::awaited() const {
  std::vector<int> peers = check_ != nullptr && !check_->passed() ? check_->pending() : pending();
  for (int& peer : peers) peer = group_->members[static_cast<size_t>(peer)];
  return peers;
}

void Operation::show_waiting() {
  RankStatus& status = group_->shared->status;
  const std::vector<int> peers = awaited();
  const size_t shown = std::min(peers.size(), status.awaited.size());
  const bool same = status.awaited_count == static_cast<int32_t>(peers.size()) &&
                    std::equal(peers.begin(), peers.begin() + static_cast<std::ptrdiff_t>(shown),
                               status.awaited.begin());
  if (shown_waiting_ && same) return;
  if (!shown_waiting_) status.since_ms = steady_ms();
  shown_waiting_ = true;
  status.state = RankStatus::State::waiting;
  status.waits_in = note_;
  status.awaited_count = static_cast<int32_t>(peers.size());
  std::copy_n(peers.begin(), shown, status.awaited.begin());
  group_->shared->show_status();
}

void Operation::show_going_on() {
  group_->shared->status.state = RankStatus::State::working;
  group_->shared->status.since_ms = steady_ms();
  group_->shared->show_status();
}

void Operation::look_around(std::chrono::steady_clock::duration waited) {
  const CommOptions& options = group_->shared->options;
  StatusBoard& board = *group_->shared->transport->board();
  show_waiting();
  if (options.check_collectives && waited > kLookAfter) check_circle();
  if (waited <= options.timeout) {
    if (early_.empty() && options.timeout > 2 * kGather && waited > options.timeout - kGather) {
      early_ = board.look(kGather, {});
    }
    return;
  }
  // The first one speaks; should it be cut off from this rank, so does this one after all.
  const bool alone = waited > options.timeout + kDefer;
  if (alone || board.claim_report()) fail_late(alone);
}

void Operation::check_circle() {
  const auto now = std::chrono::steady_clock::now();
  if (circle_ == nullptr) circle_ = std::make_unique<Circle>();
  if (now < circle_->next) return;
  StatusBoard& board = *group_->shared->transport->board();
  std::vector<SeenRank> seen = board.look(kGather, {});
  if (!circle_->before.empty()) {
    const std::vector<int> circle =
        waiting_circle(group_->shared->transport->rank(), circle_->before, seen);
    if (!circle.empty() && reports()) throw RankReport(explain_circle(circle, seen), true);
  }
  circle_->before = std::move(seen);
  circle_->next = std::chrono::steady_clock::now() + kLookAgain;
}

void Operation::fail_late(bool alone) {
  StatusBoard& board = *group_->shared->transport->board();
  const std::vector<SeenRank> seen = board.look(kGather, early_);
  group_->shared->transport->check();
  if (!alone && !board.keeps_report()) return;
  Waiting waiting;
  waiting.rank = group_->shared->transport->rank();
  waiting.note = note_;
  waiting.peers = awaited();
  waiting.group = group_->members;
  waiting.timeout = group_->shared->options.timeout;
  waiting.timeout_name = group_->shared->options.timeout_name;
  if (group_->any_finished) waiting.last_matched = group_->last_finished.text();
  const std::string report = explain_late(waiting, seen);
  if (alone) fail(ExitCode::distributed, "{}", report);  // and so may others
  throw RankReport(report, true);
}

}  // namespace troupe
