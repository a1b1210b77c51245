#include "moe/dispatch/groups.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "core/base/error.h"

namespace troupe {
namespace {

// Fails unless this rank holds the whole block of samples [block * S, (block + 1) * S), as far as
// the batch has them; samples beyond the batch are padding.
void check_whole_blocks(int64_t sequences, const TokenContext& context) {
  if (sequences <= 1) return;
  std::map<int64_t, int64_t> held;
  for (const int64_t sample : context.samples) {
    if (sample < context.global_sequences) ++held[sample / sequences];
  }
  for (const auto& [block, count] : held) {
    const int64_t end = std::min((block + 1) * sequences, context.global_sequences);
    const int64_t whole = end - block * sequences;
    if (count != whole) {
      fail(ExitCode::usage,
           "a group of {} consecutive samples is cut: of samples {} to {} this micro-batch holds "
           "{}; choose a group that divides the micro-batch",
           sequences, block * sequences, end - 1, count);
    }
  }
}

// Tokens numbered by key, in the order in which keys appear; padding gets -1.
template <typename Key>
Groups group_by(const TokenContext& context, Key&& key) {
  Groups out;
  out.group.assign(static_cast<size_t>(context.tokens()), -1);
  std::map<std::pair<int64_t, int64_t>, int32_t> number;
  for (int64_t b = 0; b < context.sequences; ++b) {
    const int64_t sample = context.samples[static_cast<size_t>(b)];
    for (int64_t s = 0; s < context.seq_len; ++s) {
      const int64_t token = b * context.seq_len + s;
      if (!context.is_valid(token)) continue;
      const auto found =
          number.emplace(key(sample, s), static_cast<int32_t>(out.size.size())).first;
      if (found->second == static_cast<int32_t>(out.size.size())) out.size.push_back(0);
      out.group[static_cast<size_t>(token)] = found->second;
      ++out.size[static_cast<size_t>(found->second)];
    }
  }
  return out;
}

// Consecutive tokens of the batch, across the ends of its sequences.
Groups token_blocks(int64_t size, const TokenContext& context) {
  const int64_t seq_len = context.seq_len;
  return group_by(context, [&](int64_t sample, int64_t s) {
    return std::pair((sample * seq_len + s) / size, int64_t{0});
  });
}

}  // namespace

Groups sample_blocks(int64_t sequences, const TokenContext& context) {
  require(sequences > 0, "blocks of {} sequences", sequences);
  require(static_cast<int64_t>(context.samples.size()) == context.sequences,
          "{} sample numbers for {} sequences", context.samples.size(), context.sequences);
  check_whole_blocks(sequences, context);
  return group_by(
      context, [&](int64_t sample, int64_t) { return std::pair(sample / sequences, int64_t{0}); });
}

Groups make_groups(const GroupRule& rule, const TokenContext& context) {
  check_whole_blocks(sequences_together(rule, context.seq_len), context);
  switch (rule.kind) {
    case GroupRule::Kind::tokens:
      return token_blocks(rule.tokens, context);
    case GroupRule::Kind::across_batch:
      return group_by(context, [&](int64_t sample, int64_t s) {
        return std::pair(sample / rule.sequences, s);
      });
    case GroupRule::Kind::sequence:
      break;
  }
  return sample_blocks(1, context);
}

int64_t sequences_together(const GroupRule& rule, int64_t seq_len) {
  switch (rule.kind) {
    case GroupRule::Kind::tokens:
      require(rule.tokens > 0, "groups of {} tokens", rule.tokens);
      return seq_len > 0 ? rule.tokens / std::gcd(rule.tokens, seq_len) : 1;
    case GroupRule::Kind::across_batch:
      require(rule.sequences > 0, "groups of {} sequences", rule.sequences);
      return rule.sequences;
    case GroupRule::Kind::sequence:
      break;
  }
  return 1;
}

bool sees_the_future(const GroupRule& rule) { return rule.kind != GroupRule::Kind::across_batch; }

}  // namespace troupe
