#include "parallel/comm/signature.h"

namespace troupe {
namespace {

bool is_pair(CollectiveKind kind) {
  return kind == CollectiveKind::send || kind == CollectiveKind::receive;
}

// FNV-1a: names may be longer than what a signature carries of them.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

std::string say(const Signature& signature, int rank, int other) {
  std::string out = fmt::format("rank {} is in {}", rank, signature.note.text());
  if (signature.note.kind != CollectiveKind::all_to_all) {
    out += fmt::format(", {} bytes", signature.bytes);
    if (signature.root >= 0) out += fmt::format(", from rank {} of the group", signature.root);
    return out;
  }
  return out + fmt::format(", {} bytes to rank {} and {} from it, {} bytes a row", signature.to_you,
                           other, signature.from_you, signature.bytes);
}

}  // namespace

std::string difference(const Signature& mine, int my_rank, const Signature& theirs,
                       int their_rank) {
  const bool kinds =
      mine.note.kind == theirs.note.kind || (is_pair(mine.note.kind) && is_pair(theirs.note.kind));
  const bool same = kinds && mine.bytes == theirs.bytes && mine.to_you == theirs.from_you &&
                    mine.from_you == theirs.to_you && mine.site_hash == theirs.site_hash &&
                    mine.root == theirs.root;
  if (same) return "";
  const bool first = my_rank < their_rank;
  return fmt::format("the operations of the ranks differ: {}; {}",
                     first ? say(mine, my_rank, their_rank) : say(theirs, their_rank, my_rank),
                     first ? say(theirs, their_rank, my_rank) : say(mine, my_rank, their_rank));
}

SignatureCheck::SignatureCheck(const GroupState& group, const OperationKind& kind,
                               const OperationNote& note, uint32_t sequence)
    : group_(&group) {
  Signature mine;
  mine.bytes = kind.bytes;
  mine.site_hash = hash_of(kind.site);
  mine.note = note;
  if (kind.kind == CollectiveKind::broadcast) mine.root = kind.peer;
  peers_.reserve(static_cast<size_t>(group.size()));
  if (is_pair(kind.kind)) {
    peers_.push_back({kind.peer, mine, {}, Exchange(group, nullptr, false)});
    peers_.back().hears = kind.kind == CollectiveKind::receive;
  } else {
    for (int peer = 0; peer < group.size(); ++peer) {
      if (peer == group.rank) continue;
      if (!kind.to.empty()) {
        mine.to_you = kind.to[static_cast<size_t>(peer)];
        mine.from_you = kind.from[static_cast<size_t>(peer)];
      }
      peers_.push_back({peer, mine, {}, Exchange(group, nullptr, false)});
    }
  }
  // The memory of the peers does not move from here on. Sends and receives are matched by order and
  // have a tag of their own, which no collective uses.
  const bool pair = is_pair(kind.kind);
  const int tag = pair ? message_tag(group, 1, Stage::point_to_point)
                       : message_tag(group, sequence, Stage::check);
  constexpr auto kBytes = static_cast<int64_t>(sizeof(Signature));
  for (Peer& peer : peers_) {
    if (peer.hears) peer.exchange.receive(peer.rank, &peer.theirs, kBytes, tag);
    if (!pair || !peer.hears) peer.exchange.send(peer.rank, &peer.mine, kBytes, tag);
  }
}

void SignatureCheck::advance() {
  bool all = true;
  for (Peer& peer : peers_) {
    if (peer.compared) continue;
    if (!peer.exchange.done()) {
      all = false;
      continue;
    }
    peer.compared = true;
    if (!peer.hears) continue;
    const std::string found =
        difference(peer.mine, group_->members[static_cast<size_t>(group_->rank)], peer.theirs,
                   group_->members[static_cast<size_t>(peer.rank)]);
    if (!found.empty()) throw Difference(ExitCode::distributed, found);
  }
  passed_ = all;
}

std::vector<int> SignatureCheck::pending() const {
  std::vector<int> ranks;
  for (const Peer& peer : peers_) {
    if (!peer.compared) ranks.push_back(peer.rank);
  }
  return ranks;
}

}  // namespace troupe
