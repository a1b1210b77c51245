#include "parallel/comm/diagnosis.h"

#include <algorithm>

namespace troupe {
namespace {

using State = RankStatus::State;

const SeenRank& at(const std::vector<SeenRank>& seen, int rank) {
  return seen[static_cast<size_t>(rank)];
}

bool waits(const SeenRank& rank) { return rank.known && rank.status.state == State::waiting; }

std::vector<int> awaited(const SeenRank& rank) {
  const int count = std::min<int>(rank.status.awaited_count, RankStatus::kPeers);
  return {rank.status.awaited.begin(), rank.status.awaited.begin() + count};
}

// Has `peer` not begun its half of what `rank` waits in? false where it is not known.
bool not_begun(const OperationNote& note, int rank, const SeenRank& peer) {
  if (!peer.known || note.number == kUnknownNumber) return false;
  const auto begun = peer.counts.begun(key_of_peer(note.key, rank));
  return begun && *begun <= note.number;
}

struct Late {
  int waiter;
  OperationNote note;
  int culprit;
};

// Of the ranks for whom one waits the one that has not come, else the first.
int behind(const OperationNote& note, int rank, const std::vector<int>& peers,
           const std::vector<SeenRank>& seen) {
  for (const int peer : peers) {
    if (not_begun(note, rank, at(seen, peer))) return peer;
  }
  return peers.front();
}

// From the rank that looks along those for whom one waits, to the one that waits for nobody.
Late follow(const Waiting& waiting, const std::vector<SeenRank>& seen) {
  Late late{waiting.rank, waiting.note, behind(waiting.note, waiting.rank, waiting.peers, seen)};
  std::vector<int> met{waiting.rank};
  while (waits(at(seen, late.culprit))) {
    const int next = late.culprit;
    const std::vector<int> peers = awaited(at(seen, next));
    if (peers.empty() || std::find(met.begin(), met.end(), next) != met.end()) break;
    const int behind_it = behind(at(seen, next).status.waits_in, next, peers, seen);
    // A circle: the first step says what this rank waits for.
    if (std::find(met.begin(), met.end(), behind_it) != met.end()) break;
    met.push_back(next);
    late = {next, at(seen, next).status.waits_in, behind_it};
  }
  return late;
}

// A silent rank, seen from one that waits for it if there is such a rank.
Late silent(const Waiting& waiting, const std::vector<SeenRank>& seen,
            const std::vector<int>& silent_ranks) {
  const auto finds = [&](const std::vector<int>& peers) {
    return std::find_first_of(silent_ranks.begin(), silent_ranks.end(), peers.begin(), peers.end());
  };
  if (const auto found = finds(waiting.peers); found != silent_ranks.end()) {
    return {waiting.rank, waiting.note, *found};
  }
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    if (!waits(seen[rank])) continue;
    if (const auto found = finds(awaited(seen[rank])); found != silent_ranks.end()) {
      return {static_cast<int>(rank), seen[rank].status.waits_in, *found};
    }
  }
  return {waiting.rank, waiting.note, silent_ranks.front()};
}

// "; its last finished operation is ...", unless that is `known` already.
std::string last_of(const RankStatus& status, const std::string& known = {}) {
  if (status.finished == 0) return "; it has finished no operation yet";
  const std::string text = status.last.text();
  return text == known ? "" : "; its last finished operation is " + text;
}

// matched: said anyway.
std::string doing(const SeenRank& rank, const std::string& matched) {
  if (!rank.answers) {
    const std::string gone =
        "it does not answer at all: it is stopped, lost, or its host is cut off";
    return rank.known ? gone + last_of(rank.status, matched) : gone;
  }
  if (!rank.known) return "what it does is not known";
  switch (rank.status.state) {
    case State::waiting:
      return "it waits itself, in " + rank.status.waits_in.text();
    case State::ended:
      return "it has come to its end" + last_of(rank.status, matched);
    case State::working:
      break;
  }
  return fmt::format("it lives and has been outside of any operation for {:.1f} s{}",
                     static_cast<double>(rank.idle_ms) / 1000, last_of(rank.status, matched));
}

// Ranks of the group that are in another operation than this one although it has the same number.
std::string elsewhere(const Waiting& waiting, const std::vector<SeenRank>& seen, int& culprit) {
  for (const int rank : waiting.group) {
    if (rank == waiting.rank || !waits(at(seen, rank))) continue;
    const OperationNote& note = at(seen, rank).status.waits_in;
    const bool same_place = note.key == waiting.note.key && note.number == waiting.note.number;
    if (!same_place || (note.kind == waiting.note.kind && note.site == waiting.note.site)) continue;
    culprit = rank;
    return "it is in " + note.text() + " instead";
  }
  return "";
}

}  // namespace

std::string explain_late(const Waiting& waiting, const std::vector<SeenRank>& seen) {
  std::vector<int> silent_ranks;
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    if (!seen[rank].answers) silent_ranks.push_back(static_cast<int>(rank));
  }
  Late late{waiting.rank, waiting.note, waiting.peers.front()};
  std::string does;
  if (!silent_ranks.empty()) {
    late = silent(waiting, seen, silent_ranks);
  } else {
    does = elsewhere(waiting, seen, late.culprit);
    if (does.empty()) late = follow(waiting, seen);
  }
  const bool own = late.waiter == waiting.rank;
  const RankStatus& waiter = at(seen, late.waiter).status;
  std::string matched = waiting.last_matched;
  if (!own) matched = waiter.finished > 0 ? waiter.last.text() : "";
  if (does.empty()) does = doing(at(seen, late.culprit), matched);
  std::string out = fmt::format(
      "no answer from rank {} within {:g} s: {}, awaited by rank {}; {}", late.culprit,
      std::chrono::duration<double>(waiting.timeout).count(), late.note.text(), late.waiter, does);
  if (silent_ranks.size() > 1) {
    out += fmt::format("; {} ranks do not answer:", silent_ranks.size());
    for (const int rank : silent_ranks) out += fmt::format(" {}", rank);
  }
  if (matched.empty()) {
    out += "; no operation of this group matched before";
  } else {
    out += fmt::format("; the last operation that matched {}is {}",
                       own ? "" : fmt::format("at rank {} ", late.waiter), matched);
  }
  return out + fmt::format(". Raise {} if the rank is only slow", waiting.timeout_name);
}

std::vector<int> waiting_circle(int start, const std::vector<SeenRank>& before,
                                const std::vector<SeenRank>& seen) {
  // Depth first; a rank waits for all of its peers, so one that cannot come is enough.
  std::vector<int> path;
  std::vector<char> closed(seen.size(), 0);
  const auto stands_still = [&](int rank) {
    return waits(at(seen, rank)) && waits(at(before, rank)) &&
           at(seen, rank).status.started == at(before, rank).status.started &&
           at(seen, rank).status.finished == at(before, rank).status.finished &&
           at(seen, rank).status.waits_in.key == at(before, rank).status.waits_in.key &&
           at(seen, rank).status.waits_in.number == at(before, rank).status.waits_in.number;
  };
  const auto visit = [&](const auto& self, int rank) -> bool {
    if (!path.empty() && at(seen, rank).known && at(seen, rank).status.state == State::ended) {
      path.push_back(rank);
      return true;
    }
    if (!stands_still(rank)) return false;
    const auto found = std::find(path.begin(), path.end(), rank);
    if (found != path.end()) {
      path.erase(path.begin(), found);
      return true;
    }
    if (closed[static_cast<size_t>(rank)] != 0) return false;
    path.push_back(rank);
    for (const int peer : awaited(at(seen, rank))) {
      if (not_begun(at(seen, rank).status.waits_in, rank, at(seen, peer)) && self(self, peer)) {
        return true;
      }
    }
    path.pop_back();
    closed[static_cast<size_t>(rank)] = 1;
    return false;
  };
  if (!visit(visit, start)) path.clear();
  return path;
}

std::string explain_circle(const std::vector<int>& circle, const std::vector<SeenRank>& seen) {
  std::string out = "the operations of the ranks differ, so that they wait for each other for ever";
  for (size_t i = 0; i < circle.size(); ++i) {
    const int rank = circle[i];
    const int next = circle[(i + 1) % circle.size()];
    const RankStatus& status = at(seen, rank).status;
    if (status.state == State::ended) {
      out += fmt::format("; rank {} has come to its end", rank);
      break;
    }
    out += fmt::format("{} rank {} waits for rank {} in {}, {} bytes", i == 0 ? ":" : ";", rank,
                       next, status.waits_in.text(), status.waits_in.bytes);
  }
  return out;
}

}  // namespace troupe
