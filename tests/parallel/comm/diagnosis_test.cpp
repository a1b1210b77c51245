// What ranks show of themselves, and what is made of it.
#include "parallel/comm/diagnosis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/parallel/comm/expect_said.h"

namespace troupe {
namespace {

using testing::expect_said;

OperationNote note(const char* site, int group, uint32_t number) {
  OperationNote out;
  out.kind = CollectiveKind::all_reduce;
  out.key = collective_key(group);
  out.number = number;
  out.group_size = 4;
  std::copy_n("dp", 3, out.group.begin());
  std::copy_n(site, std::char_traits<char>::length(site) + 1, out.site.begin());
  return out;
}

SeenRank seen(RankStatus::State state, const OperationNote& last) {
  SeenRank out;
  out.answers = out.known = true;
  out.status.state = state;
  out.status.finished = 1;
  out.status.last = last;
  return out;
}

SeenRank waiting_for(int peer, const OperationNote& in) {
  SeenRank out = seen(RankStatus::State::waiting, note("old", 3, 0));
  out.status.waits_in = in;
  out.status.awaited_count = 1;
  out.status.awaited[0] = peer;
  for (uint32_t i = 0; i <= in.number; ++i) out.counts.begin(in.key);
  return out;
}

TEST(Diagnosis, ASilentRankIsTheCauseWhereverItIs) {
  // Rank 0 waits for 1, 1 for 2, 2 for 3; rank 3 is stopped and was last seen in "old".
  std::vector<SeenRank> ranks{waiting_for(1, note("a", 1, 4)), waiting_for(2, note("b", 2, 5)),
                              waiting_for(3, note("c", 3, 6)),
                              seen(RankStatus::State::working, note("old", 3, 5))};
  ranks[3].answers = false;
  Waiting waiting;
  waiting.rank = 0;
  waiting.note = note("a", 1, 4);
  waiting.peers = {1};
  waiting.group = {0, 1};
  waiting.timeout = std::chrono::seconds(4);
  expect_said(explain_late(waiting, ranks),
              {"no answer from rank 3 within 4 s: all_reduce \"c\"", "awaited by rank 2; ",
               "it does not answer at all", "last finished operation is all_reduce \"old\""});
  ranks[3].known = false;  // on another host
  expect_said(explain_late(waiting, ranks), {"no answer from rank 3", "it does not answer at all"});
  ranks[2].answers = ranks[2].known = false;
  expect_said(explain_late(waiting, ranks),
              {"no answer from rank 2 within 4 s: all_reduce \"b\"", "2 ranks do not answer: 2 3"});
}

TEST(Diagnosis, OnlyRanksThatCannotGoOnMakeACircle) {
  std::vector<SeenRank> ranks{waiting_for(1, note("a", 1, 4)), waiting_for(0, note("b", 2, 5))};
  EXPECT_EQ(waiting_circle(0, ranks, ranks), (std::vector<int>{0, 1}));
  // Rank 1 has begun what rank 0 waits for: its data are on their way.
  std::vector<SeenRank> moving = ranks;
  for (int i = 0; i < 5; ++i) moving[1].counts.begin(collective_key(1));
  EXPECT_TRUE(waiting_circle(0, moving, moving).empty());
  // It went on between the two looks.
  moving = ranks;
  ++moving[1].status.finished;
  EXPECT_TRUE(waiting_circle(0, ranks, moving).empty());
  ranks[1].status.state = RankStatus::State::working;
  EXPECT_TRUE(waiting_circle(0, ranks, ranks).empty());
  ranks[1].known = false;
  EXPECT_TRUE(waiting_circle(0, ranks, ranks).empty());
}

TEST(OperationCounts, CountEachKeyAndSayWhenThereAreTooMany) {
  OperationCounts counts{};
  EXPECT_EQ(counts.begin(collective_key(3)), 0U);
  EXPECT_EQ(counts.begin(collective_key(3)), 1U);
  EXPECT_EQ(counts.begin(send_key(3, 0)), 0U);
  EXPECT_EQ(counts.begin(receive_key(3, 0)), 0U);
  EXPECT_EQ(counts.begun(collective_key(3)), 2U);
  EXPECT_EQ(counts.begun(collective_key(4)), 0U);
  EXPECT_EQ(key_of_peer(send_key(3, 7), 2), receive_key(3, 2));
  EXPECT_EQ(key_of_peer(receive_key(3, 7), 2), send_key(3, 2));
  EXPECT_EQ(key_of_peer(collective_key(3), 2), collective_key(3));
  counts.forget_group(3);
  EXPECT_EQ(counts.begun(collective_key(3)), 0U);
  EXPECT_EQ(counts.begun(send_key(3, 0)), 0U);
  for (int peer = 0; peer < 300; ++peer) counts.begin(send_key(9, peer));
  EXPECT_EQ(counts.begin(send_key(9, 299)), kUnknownNumber);
  EXPECT_EQ(counts.begun(send_key(9, 299)), std::nullopt);
  EXPECT_EQ(counts.begun(send_key(9, 0)), 1U);
}

TEST(StatusSlot, ReadsWhatWasWrittenWhileItIsWritten) {
  StatusSlot slot{};
  std::atomic<bool> over{false};
  std::thread writer([&] {
    RankStatus status;
    for (uint64_t i = 1; !over; ++i) {
      status.started = status.finished = i;
      status.last.bytes = static_cast<int64_t>(i);
      slot.write(status);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const RankStatus status = slot.read();
    EXPECT_EQ(status.started, status.finished);
    EXPECT_EQ(status.last.bytes, static_cast<int64_t>(status.started));
  }
  over = true;
  writer.join();
}

}  // namespace
}  // namespace troupe
