#include "launch/bench/tokenizer_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "launch/bench/median.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

double median_seconds(int64_t repeats, const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (int64_t i = 0; i < repeats; ++i) {
    const auto begin = Clock::now();
    work();
    times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return std::max(median(std::move(times)), 1e-9);
}

}  // namespace

TokenizerBench bench_tokenizer(const Tokenizer& tokenizer, const std::string& text,
                               int64_t repeats) {
  require(!text.empty() && repeats >= 1, "a tokenizer timed on {} bytes, {} times", text.size(),
          repeats);
  const auto bytes = static_cast<double>(text.size());
  const std::unique_ptr<Tokenizer> plain = load_tokenizer("byte");
  TokenizerBench out;
  out.text_bytes = static_cast<int64_t>(text.size());
  std::vector<int32_t> ids;
  const auto encode = [&](const Tokenizer& with) {
    return bytes / median_seconds(repeats, [&] {
             ids.clear();
             with.encode(text, ids);
           });
  };
  out.byte_encode_rate = encode(*plain);
  out.encode_rate = encode(tokenizer);
  out.tokens = static_cast<int64_t>(ids.size());
  std::string back;
  out.decode_rate = bytes / median_seconds(repeats, [&] { back = tokenizer.decode(ids); });
  require(back == text, "a text of {} bytes came back as {} others", text.size(), back.size());
  std::string copy(text.size(), '\0');
  out.copy_rate = bytes / median_seconds(repeats, [&] {
                    std::memcpy(copy.data(), text.data(), text.size());
                    require(copy.back() == text.back(), "the copy differs");
                  });
  return out;
}

std::string text_of_tokens(const Tokenizer& tokenizer, int64_t bytes) {
  const Random random(1, "bench text");
  const auto vocab = static_cast<double>(tokenizer.vocab_size());
  std::string text;
  for (uint64_t draw = 0; static_cast<int64_t>(text.size()) < bytes; ++draw) {
    // Uniform in the logarithm: id i has a share that falls as 1 / i, as words of a language do.
    const auto id = static_cast<int64_t>(std::exp(random.uniform(draw) * std::log(vocab))) - 1;
    if (tokenizer.is_special(id)) continue;
    text += tokenizer.id_to_bytes(id);
    require(draw < static_cast<uint64_t>(bytes) * 64, "a vocabulary without text");
  }
  return text;
}

}  // namespace troupe
