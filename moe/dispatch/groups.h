// Groups of tokens that compete for an expert's capacity. A group is a function of global sample
// numbers and positions only, never of what a rank holds.
#pragma once

#include <cstdint>
#include <vector>

#include "core/nn/token_context.h"

namespace troupe {

// Which tokens compete for an expert's capacity.
struct GroupRule {
  enum class Kind : uint8_t { sequence, tokens, across_batch } kind = Kind::sequence;
  int64_t tokens = 0;     // for Kind::tokens: size of a group of consecutive tokens
  int64_t sequences = 0;  // for Kind::across_batch: S sequences at the same position
};

// The groups of a micro-batch. Tokens of a group stand in order of (sample, position).
struct Groups {
  std::vector<int32_t> group;  // [tokens], numbered from 0; -1 for padding
  std::vector<int64_t> size;   // [groups], valid tokens
  int64_t count() const { return static_cast<int64_t>(size.size()); }
};

// Throws Error(usage) when a group of this rule is not whole on this rank.
Groups make_groups(const GroupRule& rule, const TokenContext& context);

// Blocks of `sequences` consecutive global samples (1: each sequence), padding left out. Throws
// Error(usage) when a block is not whole on this rank.
Groups sample_blocks(int64_t sequences, const TokenContext& context);

// Consecutive samples that hold whole groups: a micro-batch must be a multiple of them.
int64_t sequences_together(const GroupRule& rule, int64_t seq_len);
// Does routing within this group look at later tokens of the same sequence?
bool sees_the_future(const GroupRule& rule);

}  // namespace troupe
