// What a router may ask of the training corpus: counted when it is first asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace troupe {

class CorpusFacts {
 public:
  using Counts = std::vector<int64_t>;  // [vocab], how often each token id occurs

  explicit CorpusFacts(std::function<Counts()> count_tokens)
      : count_tokens_(std::move(count_tokens)) {}

  const Counts& token_counts() const {
    if (token_counts_.empty()) token_counts_ = count_tokens_();
    return token_counts_;
  }

 private:
  std::function<Counts()> count_tokens_;
  mutable Counts token_counts_;  // empty = not yet counted
};

}  // namespace troupe
