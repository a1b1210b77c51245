#include "moe/dispatch/assignment.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"

namespace troupe {
namespace {

constexpr uint64_t kMagic = 0x314e475353415254ULL;  // "TRASSGN1"

template <typename T>
void put(std::vector<uint8_t>& bytes, const T* values, size_t count) {
  const size_t at = bytes.size();
  bytes.resize(at + count * sizeof(T));
  if (count > 0) std::memcpy(bytes.data() + at, values, count * sizeof(T));
}

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  template <typename T>
  void take(T* values, size_t count) {
    if (count > (bytes_.size() - at_) / sizeof(T)) {
      fail(ExitCode::checkpoint, "a saved assignment of {} bytes is cut short", bytes_.size());
    }
    if (count > 0) std::memcpy(values, bytes_.data() + at_, count * sizeof(T));
    at_ += count * sizeof(T);
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

// What is wrong with the assignment, or "".
std::string problem(const SparseAssignment& a) {
  if (a.tokens < 0 || a.experts < 0) return "negative sizes";
  if (a.token_begin.size() != static_cast<size_t>(a.tokens) + 1) return "wrong number of offsets";
  if (a.kept.size() != a.expert.size()) return "wrong number of drop marks";
  if (a.token_begin.front() != 0 || a.token_begin.back() != a.pairs()) return "wrong offsets";
  std::vector<int64_t> last_token(static_cast<size_t>(a.experts), -1);
  for (int64_t t = 0; t < a.tokens; ++t) {
    const int64_t begin = a.token_begin[static_cast<size_t>(t)];
    const int64_t end = a.token_begin[static_cast<size_t>(t) + 1];
    if (end < begin || end > a.pairs()) return "falling offsets";
    for (int64_t i = begin; i < end; ++i) {
      const int32_t e = a.expert[static_cast<size_t>(i)];
      if (e < 0 || e >= a.experts) return "an expert out of range";
      if (last_token[static_cast<size_t>(e)] == t) return "an expert twice in one token";
      last_token[static_cast<size_t>(e)] = t;
    }
  }
  return "";
}

void append_range(SparseAssignment& out, const SparseAssignment& in, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t i = in.token_begin[static_cast<size_t>(t)];
         i < in.token_begin[static_cast<size_t>(t) + 1]; ++i) {
      out.expert.push_back(in.expert[static_cast<size_t>(i)]);
      out.kept.push_back(in.kept[static_cast<size_t>(i)]);
    }
    out.token_begin.push_back(out.pairs());
    ++out.tokens;
  }
}

}  // namespace

SparseAssignment empty_assignment(int64_t experts) {
  SparseAssignment out;
  out.experts = experts;
  out.token_begin = {0};
  return out;
}

void SparseAssignment::append(std::span<const int32_t> experts_of_token) {
  expert.insert(expert.end(), experts_of_token.begin(), experts_of_token.end());
  kept.resize(expert.size(), 1);
  token_begin.push_back(pairs());
  ++tokens;
}

std::vector<int64_t> SparseAssignment::selected_counts() const {
  std::vector<int64_t> counts(static_cast<size_t>(experts), 0);
  for (const int32_t e : expert) ++counts[static_cast<size_t>(e)];
  return counts;
}

std::vector<int64_t> SparseAssignment::kept_counts() const {
  std::vector<int64_t> counts(static_cast<size_t>(experts), 0);
  for (size_t i = 0; i < expert.size(); ++i) counts[static_cast<size_t>(expert[i])] += kept[i];
  return counts;
}

std::vector<int64_t> SparseAssignment::first_counts() const {
  std::vector<int64_t> counts(static_cast<size_t>(experts), 0);
  for (size_t t = 0; t + 1 < token_begin.size(); ++t) {
    if (token_begin[t] == token_begin[t + 1]) continue;
    ++counts[static_cast<size_t>(expert[static_cast<size_t>(token_begin[t])])];
  }
  return counts;
}

std::vector<int32_t> SparseAssignment::pair_tokens() const {
  std::vector<int32_t> out(expert.size());
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = token_begin[static_cast<size_t>(t)];
         i < token_begin[static_cast<size_t>(t) + 1]; ++i) {
      out[static_cast<size_t>(i)] = static_cast<int32_t>(t);
    }
  }
  return out;
}

void SparseAssignment::check() const {
  const std::string wrong = problem(*this);
  require(wrong.empty(), "an assignment of {} tokens to {} experts has {}", tokens, experts, wrong);
}

bool SparseAssignment::same_routing(const SparseAssignment& other) const {
  return tokens == other.tokens && experts == other.experts && token_begin == other.token_begin &&
         expert == other.expert && kept == other.kept;
}

SparseAssignment take_tokens(const SparseAssignment& assignment, std::span<const int32_t> tokens,
                             std::vector<int32_t>& pairs) {
  SparseAssignment out = empty_assignment(assignment.experts);
  pairs.clear();
  for (int32_t token : tokens) {
    append_range(out, assignment, token, token + 1);
    for (int64_t i = assignment.token_begin[static_cast<size_t>(token)];
         i < assignment.token_begin[static_cast<size_t>(token) + 1]; ++i) {
      pairs.push_back(static_cast<int32_t>(i));
    }
  }
  return out;
}

SparseAssignment slice_tokens(const SparseAssignment& assignment, int64_t begin, int64_t end) {
  require(0 <= begin && begin <= end && end <= assignment.tokens,
          "tokens [{}, {}) of an assignment of {}", begin, end, assignment.tokens);
  SparseAssignment out = empty_assignment(assignment.experts);
  append_range(out, assignment, begin, end);
  return out;
}

SparseAssignment join_tokens(std::span<const SparseAssignment> parts) {
  require(!parts.empty(), "joining no assignments");
  SparseAssignment out = empty_assignment(parts.front().experts);
  for (const SparseAssignment& part : parts) {
    require(part.experts == out.experts, "joining assignments to {} and {} experts", out.experts,
            part.experts);
    append_range(out, part, 0, part.tokens);
  }
  return out;
}

std::vector<uint8_t> to_bytes(const SparseAssignment& a) {
  std::vector<uint8_t> bytes;
  const uint64_t head[4] = {kMagic, static_cast<uint64_t>(a.tokens),
                            static_cast<uint64_t>(a.experts), static_cast<uint64_t>(a.pairs())};
  put(bytes, head, 4);
  put(bytes, a.token_begin.data(), a.token_begin.size());
  put(bytes, a.expert.data(), a.expert.size());
  put(bytes, a.kept.data(), a.kept.size());
  return bytes;
}

SparseAssignment assignment_from_bytes(std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  uint64_t head[4];
  reader.take(head, 4);
  const uint64_t tokens = head[1];
  const uint64_t pairs = head[3];
  // Sizes beyond the bytes there are would make the allocations below absurd.
  if (head[0] != kMagic || tokens > bytes.size() || pairs > bytes.size() ||
      head[2] > (uint64_t{1} << 31)) {
    fail(ExitCode::checkpoint, "{} bytes are not a saved assignment", bytes.size());
  }
  SparseAssignment out;
  out.tokens = static_cast<int64_t>(tokens);
  out.experts = static_cast<int64_t>(head[2]);
  out.token_begin.resize(tokens + 1);
  out.expert.resize(pairs);
  out.kept.resize(pairs);
  reader.take(out.token_begin.data(), tokens + 1);
  reader.take(out.expert.data(), pairs);
  reader.take(out.kept.data(), pairs);
  const std::string wrong = reader.at_end() ? problem(out) : "bytes left over";
  if (!wrong.empty()) fail(ExitCode::checkpoint, "a saved assignment has {}", wrong);
  return out;
}

namespace {

// The first `choices` distinct experts of draws from shares that fall as 1 / (e + 1).
std::vector<int32_t> zipf_choices(const Random& random, uint64_t token, int64_t experts,
                                  int64_t choices) {
  std::vector<double> share(static_cast<size_t>(experts));
  for (size_t e = 0; e < share.size(); ++e) share[e] = 1.0 / static_cast<double>(e + 1);
  std::vector<int32_t> out;
  for (int64_t j = 0; j < choices; ++j) {
    double rest =
        random.uniform(token, static_cast<uint64_t>(j)) * std::reduce(share.begin(), share.end());
    size_t pick = 0;
    for (size_t e = 0; e < share.size(); ++e) {
      if (share[e] == 0.0) continue;
      pick = e;
      rest -= share[e];
      if (rest < 0.0) break;
    }
    out.push_back(static_cast<int32_t>(pick));
    share[pick] = 0.0;
  }
  return out;
}

}  // namespace

SparseAssignment synthetic_assignment(SyntheticRouting kind, int64_t tokens, int64_t experts,
                                      int64_t choices, uint64_t seed) {
  require(choices <= experts, "{} choices among {} experts", choices, experts);
  const Random random(seed, "synthetic routing");
  SparseAssignment out = empty_assignment(experts);
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<int32_t> picks;
    if (kind == SyntheticRouting::zipf) {
      picks = zipf_choices(random, static_cast<uint64_t>(t), experts, choices);
    } else {
      for (int64_t j = 0; j < choices; ++j)
        picks.push_back(static_cast<int32_t>((t * choices + j) % experts));
    }
    out.append(picks);
  }
  return out;
}

}  // namespace troupe
