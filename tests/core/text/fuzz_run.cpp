#include <sys/resource.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/bpe_files.h"
#include "core/text/token_file.h"
#include "tests/core/text/fuzz.h"

namespace troupe::test {
namespace {

// What a reader may do: succeed, or fail with ExitCode::data. Returns the message, empty = success.
std::string message_of(const std::function<void()>& read) {
  try {
    read();
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 2000U) << error.what();
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not one of ours: " << error.what();
    return error.what();
  }
}

// Whatever file was accepted: encoding loses nothing.
void check_round_trip(const Tokenizer& tokenizer) {
  const std::string text = "the e  \n<u> \xC3\xA9<|endoftext|>\xFF 12345 I'll\t\xE4\xB8\xAD ee e";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

}  // namespace

FuzzOutcome try_index(const std::string& idx, int64_t bin_bytes) {
  FuzzOutcome outcome;
  TokenIndex index;
  const std::string message =
      message_of([&] { index = parse_token_index(idx, bin_bytes, "case.idx"); });
  outcome.accepted = message.empty();
  outcome.first_check = idx.size() >= 34 &&
                        idx.compare(0, 10, std::string("MMIDIDX\0\0\1", 10)) == 0 &&
                        message.find("version") == std::string::npos;
  if (!outcome.accepted) return outcome;
  EXPECT_EQ(index.tokens * size_of(index.type), bin_bytes);
  for (size_t i = 0; i < index.document_starts.size(); ++i) {
    EXPECT_LT(index.document_starts[i], index.tokens);
    EXPECT_TRUE(i == 0 ? index.document_starts[i] == 0
                       : index.document_starts[i] > index.document_starts[i - 1]);
  }
  return outcome;
}

FuzzOutcome try_tokenizer_json(const std::string& text) {
  FuzzOutcome outcome;
  std::unique_ptr<Tokenizer> tokenizer;
  const std::string message =
      message_of([&] { tokenizer = parse_tokenizer_json(text, "case.json"); });
  outcome.accepted = message.empty();
  outcome.first_check = message.find("is not valid JSON") == std::string::npos &&
                        message.find("is nested deeper") == std::string::npos;
  if (outcome.accepted) check_round_trip(*tokenizer);
  return outcome;
}

FuzzOutcome try_merges(const std::string& text) {
  FuzzOutcome outcome;
  const size_t zero = std::min(text.find('\0'), text.size());
  const std::string_view all = text;
  std::unique_ptr<Tokenizer> tokenizer;
  const std::string message = message_of([&] {
    tokenizer = parse_gpt2_files(all.substr(0, zero), all.substr(std::min(zero + 1, all.size())),
                                 "vocab", "merges");
  });
  outcome.accepted = message.empty();
  outcome.first_check = message.find("merges:1:") == std::string::npos;
  if (outcome.accepted) check_round_trip(*tokenizer);
  return outcome;
}

void fuzz(const char* what, int64_t count, const std::function<FuzzOutcome(FuzzRandom&)>& one) {
  int64_t first = 0;
  int64_t accepted = 0;
  double slowest = 0.0;
  for (int64_t number = 0; number < count; ++number) {
    FuzzRandom random(static_cast<uint64_t>(number) * 7919 + 17);
    const std::clock_t start = std::clock();  // processor time: other programs do not count
    const FuzzOutcome outcome = one(random);
    slowest = std::max(slowest, static_cast<double>(std::clock() - start) / double{CLOCKS_PER_SEC});
    first += outcome.first_check;
    accepted += outcome.accepted;
    ASSERT_FALSE(testing::Test::HasFailure()) << what << " case " << number;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto share = [&](int64_t part) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(count);
  };
  std::printf(
      "fuzz %s: %lld cases, %.1f %% beyond the first check, %.1f %% accepted, slowest %.3f s, peak "
      "%ld MB\n",
      what, static_cast<long long>(count), share(first), share(accepted), slowest,
      usage.ru_maxrss / 1024);
  EXPECT_GE(share(first), 20.0);
  EXPECT_GE(share(accepted), 1.0);
  EXPECT_LT(share(accepted), 90.0);  // the changes do hurt
  EXPECT_LT(slowest, 10.0);
  EXPECT_LT(usage.ru_maxrss, 1024 * 1024);  // KiB
}

}  // namespace troupe::test
