#include "moe/dispatch/groups.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::pad;
using testing::part_of;
using testing::whole_batch;

TEST(Groups, SequenceTokensAndAcrossBatch) {
  const TokenContext batch = whole_batch(4, 6);
  EXPECT_EQ(make_groups({}, batch).size, std::vector<int64_t>(4, 6));
  EXPECT_EQ(make_groups({GroupRule::Kind::tokens, 3, 0}, batch).size, std::vector<int64_t>(8, 3));
  EXPECT_EQ(make_groups({GroupRule::Kind::tokens, 12, 0}, batch).size, std::vector<int64_t>(2, 12));
  const Groups across = make_groups({GroupRule::Kind::across_batch, 0, 2}, batch);
  EXPECT_EQ(across.size, std::vector<int64_t>(12, 2));
  EXPECT_EQ(across.group[1], across.group[7]);  // position 1 of samples 0 and 1
  EXPECT_NE(across.group[1], across.group[13]);
}

// 6 tokens of sequences of 4: a group ends in the middle of the second one.
TEST(Groups, TokensGoOnAcrossTheEndsOfSequences) {
  const TokenContext batch = whole_batch(3, 4);
  const Groups groups = make_groups({GroupRule::Kind::tokens, 6, 0}, batch);
  EXPECT_EQ(groups.group, (std::vector<int32_t>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(groups.size, (std::vector<int64_t>{6, 6}));
  EXPECT_EQ(sequences_together({GroupRule::Kind::tokens, 6, 0}, 4), 3);
  EXPECT_EQ(sequences_together({GroupRule::Kind::tokens, 8, 0}, 4), 2);
  EXPECT_EQ(sequences_together({GroupRule::Kind::tokens, 2, 0}, 4), 1);
  EXPECT_EQ(sequences_together({GroupRule::Kind::across_batch, 0, 5}, 4), 5);
  EXPECT_EQ(sequences_together({}, 4), 1);
}

// The groups of a part of the batch are those of the whole: what is compared does not depend on
// what a rank holds.
TEST(Groups, DependOnGlobalSamplesOnly) {
  const TokenContext batch = whole_batch(8, 4);
  for (const GroupRule rule :
       {GroupRule{}, GroupRule{GroupRule::Kind::tokens, 8, 0},
        GroupRule{GroupRule::Kind::tokens, 2, 0}, GroupRule{GroupRule::Kind::across_batch, 0, 2}}) {
    const Groups whole = make_groups(rule, batch);
    const Groups part = make_groups(rule, part_of(batch, 2, 4));
    for (size_t a = 0; a < part.group.size(); ++a) {
      for (size_t b = 0; b < part.group.size(); ++b) {
        EXPECT_EQ(part.group[a] == part.group[b], whole.group[a + 8] == whole.group[b + 8]);
      }
    }
  }
}

TEST(Groups, PaddingIsInNone) {
  TokenContext batch = whole_batch(2, 4);
  pad(batch, {3, 4, 5, 6, 7});
  const Groups groups = make_groups({}, batch);
  EXPECT_EQ(groups.size, std::vector<int64_t>{3});
  EXPECT_EQ(groups.group, (std::vector<int32_t>{0, 0, 0, -1, -1, -1, -1, -1}));
}

// Held-out text of three windows, filled up to four sequences.
TEST(Groups, SequencesBeyondTheBatchFillItsLastGroup) {
  TokenContext batch = whole_batch(4, 2);
  batch.global_sequences = 3;
  pad(batch, {6, 7});
  EXPECT_EQ(make_groups({GroupRule::Kind::across_batch, 0, 2}, batch).size,
            (std::vector<int64_t>{2, 2, 1, 1}));
  EXPECT_EQ(make_groups({GroupRule::Kind::tokens, 4, 0}, batch).size, (std::vector<int64_t>{4, 2}));
}

TEST(Groups, CutGroupsAreRefused) {
  const TokenContext batch = whole_batch(8, 4);
  EXPECT_THROW(make_groups({GroupRule::Kind::across_batch, 0, 4}, part_of(batch, 2, 4)), Error);
  EXPECT_THROW(make_groups({GroupRule::Kind::tokens, 8, 0}, part_of(batch, 0, 3)), Error);
  EXPECT_THROW(make_groups({GroupRule::Kind::tokens, 6, 0}, part_of(batch, 0, 4)), Error);
  // The last block of a batch may be short: it is whole all the same.
  EXPECT_EQ(make_groups({GroupRule::Kind::across_batch, 0, 3}, part_of(batch, 6, 2)).size,
            std::vector<int64_t>(4, 2));
}

TEST(Groups, NoTokensNoGroups) {
  EXPECT_EQ(make_groups({}, part_of(whole_batch(2, 4), 1, 0)).count(), 0);
}

}  // namespace
}  // namespace troupe
