// Ranks that do not come, come with something else or wait in a circle: what is said of whom.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "parallel/comm/diagnosis.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/comm/conformance.h"
#include "tests/parallel/comm/expect_said.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using testing::expect_said;
using Job = std::function<void(int, Communicator&)>;

View view(std::vector<float>& data) {
  const auto size = static_cast<int64_t>(data.size());
  return {data.data(), DType::f32, {size}, {1}, DeviceKind::cpu};
}

void sum(Communicator& group, const std::string& site, size_t elements = 10) {
  std::vector<float> data(elements, 1.0F);
  group.all_reduce_sum(view(data), site).finish();
}

// Between ranks: one comes where the others wait for it. Everything before has the ten minutes of
// the default deadline, however slowly the ranks are scheduled.
class Moment {
 public:
  void come() { here_ = true; }
  void wait() const {
    for (int i = 0; i < 60'000 && !here_; ++i) std::this_thread::sleep_for(milliseconds(1));
  }

 private:
  std::atomic<bool> here_{false};
};

// Waits that end with the deadline `timeout`, and tells the late rank when they did.
void expire(Communicator& world, milliseconds timeout, Moment& given_up,
            const std::function<void()>& waits) {
  world.world().set_timeout(timeout);
  try {
    waits();
  } catch (...) {
    given_up.come();
    throw;
  }
}

CommOptions checked() {
  CommOptions options;
  options.check_collectives = true;
  return options;
}

// The message with which the job ends, code 7; a difference is found long before the ten minutes of
// the deadline.
std::string failure(int ranks, const Job& job, const CommOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    run_ranks(
        ranks, [&](int rank, const auto& world) { job(rank, *world); }, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::distributed) << error.what();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(1)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was noticed";
  return "";
}

TEST(LateRanks, TheReportSaysOperationPlaceAndWhatMatchedLast) {
  Moment given_up;
  const std::string text =
      failure(3,
              [&](int rank, Communicator& world) {
                auto group = world.split(0, 0, "dp");
                PositionScope at(world.world().position());
                at->micro_batch = 2;
                at->layer = 4;
                at->pass = Pass::backward;
                sum(*group, "first");
                at->layer = 3;
                if (rank == 1) given_up.wait();
                if (rank != 1) {
                  expire(world, milliseconds(300), given_up, [&] { sum(*group, "second"); });
                }
              },
              {});
  expect_said(text,
              {"no answer from rank 1 within 0.3 s: all_reduce \"second\" in group dp of 3 ranks "
               "(operation 1), layer 3, micro-batch 2, backward, awaited by rank ",
               "it lives and has been outside of any operation for",
               "the last operation that matched is all_reduce \"first\" in group dp of 3 ranks "
               "(operation 0), layer 4, micro-batch 2, backward"});
}

// Rank 0 waits for 1, which waits for 2: rank 2 is the one to look at, whoever speaks.
TEST(LateRanks, TheRankBehindAChainIsNamed) {
  Moment waiting;
  Moment given_up;
  const std::string text =
      failure(3,
              [&](int rank, Communicator& world) {
                auto pair = world.split(rank == 2 ? 1 : 0, 0, "pair");
                auto end = world.split(rank == 0 ? 1 : 0, 0, "end");
                if (rank == 0) {
                  waiting.wait();
                  expire(world, milliseconds(500), given_up, [&] { sum(*pair, "of the pair"); });
                }
                if (rank == 1) {
                  waiting.come();
                  sum(*end, "of the end");
                }
                if (rank == 2) given_up.wait();
              },
              {});
  expect_said(text,
              {"no answer from rank 2 within 0.5 s: all_reduce \"of the end\" in group end of "
               "2 ranks (operation 0), awaited by rank 1; "});
}

TEST(LateRanks, ARankInAnotherOperationIsNamed) {
  Moment waiting;
  Moment given_up;
  const std::string text = failure(2,
                                   [&](int rank, Communicator& world) {
                                     std::vector<float> data(2);
                                     std::vector<float> all(4);
                                     if (rank == 0) {
                                       waiting.wait();
                                       expire(world, milliseconds(500), given_up, [&] {
                                         world.receive(view(data), 1, "values").finish();
                                       });
                                     }
                                     if (rank == 1) {
                                       waiting.come();
                                       world.all_gather(view(data), view(all), "norms").finish();
                                     }
                                   },
                                   {});
  expect_said(text, {"no answer from rank ", "receive \"values\"", "all_gather \"norms\"",
                     "it waits itself, in "});
}

// A sum over several ranks that one of them skips: its next one meets theirs.
TEST(CheckedCollectives, ARankThatSkipsOneIsNamed) {
  const std::string text = failure(
      3,
      [](int rank, Communicator& world) {
        PositionScope at(world.world().position());
        for (int step = 0; step < 4; ++step) {
          at->micro_batch = step;
          if (rank != 2 || step != 2) sum(world, "gradients");
          sum(world, "norm");
        }
      },
      checked());
  expect_said(text, {"the operations of the ranks differ: rank ",
                     "is in all_reduce \"gradients\" in group world of 3 ranks (operation 4), "
                     "micro-batch 2, 40 bytes",
                     "rank 2 is in all_reduce \"norm\" in group world of 3 ranks (operation 4), "
                     "micro-batch 2, 40 bytes"});
}

TEST(CheckedCollectives, OtherKindsSizesAndRootsAreNamed) {
  const auto two = [](const Job& one) {
    return [one](int rank, Communicator& world) {
      sum(world, "before");
      one(rank, world);
    };
  };
  expect_said(failure(2, two([](int rank, Communicator& world) {
                        sum(world, "sizes", rank == 0 ? 5000 : 5001);
                      }),
                      checked()),
              {"rank 0 is in all_reduce \"sizes\"", "20000 bytes", "20004 bytes"});
  expect_said(failure(2, two([](int rank, Communicator& world) {
                        if (rank == 0) world.barrier("here").finish();
                        if (rank == 1) sum(world, "there");
                      }),
                      checked()),
              {"rank 0 is in barrier \"here\"", "rank 1 is in all_reduce \"there\""});
  expect_said(
      failure(2, two([](int rank, Communicator& world) {
                std::vector<float> data(7);
                world.broadcast(view(data), rank, "state").finish();
              }),
              checked()),
      {"rank 0 is in broadcast \"state\"", "from rank 0 of the group", "from rank 1 of the group"});
}

// Two groups entered in another order: neither rank will ever come.
TEST(CheckedCollectives, ACircleIsNamedLongBeforeTheDeadline) {
  const std::string text = failure(
      3,
      [](int rank, Communicator& world) {
        auto a = world.split(0, 0, "a");
        auto b = world.split(0, 0, "b");
        sum(rank == 1 ? *b : *a, "one");
        sum(rank == 1 ? *a : *b, "one");
      },
      checked());
  expect_said(text, {"they wait for each other for ever: rank ",
                     "waits for rank 1 in all_reduce \"one\" in group a of 3 ranks (operation 0)",
                     "rank 1 waits for rank ", "in all_reduce \"one\" in group b"});
}

// A rank leaves a loop too early.
TEST(CheckedCollectives, ARankThatHasEndedIsNamed) {
  const std::string text = failure(
      3,
      [](int rank, Communicator& world) {
        for (int step = 0; step < (rank == 1 ? 2 : 3); ++step) sum(world, "step");
      },
      checked());
  expect_said(text,
              {"waits for rank 1 in all_reduce \"step\" in group world of 3 ranks (operation 2)",
               "rank 1 has come to its end"});
}

// Of a send and its receive.
TEST(CheckedCollectives, ReceivesOfAnotherMessageAreNamed) {
  const std::string text = failure(
      2,
      [](int rank, Communicator& world) {
        std::vector<float> data(7);
        for (const char* site : {"values", "gradients"}) {
          if (rank == 0) world.send(view(data), 1, site).finish();
          if (rank == 1 && site == std::string("gradients"))
            world.receive(view(data), 0, site).finish();
        }
      },
      checked());
  expect_said(text, {"rank 0 is in send \"values\"", "rank 1 is in receive \"gradients\""});
}

// Sizes of all-to-all are compared always, also where one side expects nothing or a whole number of
// messages.
TEST(AllToAll, DifferentSizesAreNoticedWithoutTheCheck) {
  for (const auto& [sent, expected] :
       {std::pair<int64_t, int64_t>{3, 0}, {0, 3}, {3, 4}, {20, 10}}) {
    for (const bool check : {false, true}) {
      CommOptions options = check ? checked() : CommOptions();
      options.chunk_bytes = 40;
      const std::string text = failure(
          2,
          [sent = sent, expected = expected](int rank, Communicator& world) {
            PositionScope at(world.world().position());
            at->layer = 5;
            std::vector<float> in(20);
            std::vector<float> out(20);
            const std::vector<int64_t> nothing{0, 0};
            const std::vector<int64_t> to{0, sent};
            const std::vector<int64_t> from{expected, 0};
            const auto rows = [](std::vector<float>& data, int64_t count) {
              return View{data.data(), DType::f32, {count, 1}, {1, 1}, DeviceKind::cpu};
            };
            if (rank == 0)
              world.all_to_all(rows(in, sent), to, rows(out, 0), nothing, "rows").finish();
            if (rank == 1)
              world.all_to_all(rows(in, 0), nothing, rows(out, expected), from, "rows").finish();
          },
          options);
      expect_said(text, {"the operations of the ranks differ: ", "rank 0", "rank 1",
                         "all_to_all \"rows\" in group world of 2 ranks (operation 0), layer 5"});
    }
  }
}

class Checked : public ::testing::TestWithParam<testing::ConformanceCase> {};
TEST_P(Checked, ChangesNothing) {
  CommOptions options = checked();
  options.chunk_bytes = 3000;
  options.segment_bytes = 20000;
  run_ranks(
      3, [&](int, const auto& world) { GetParam().run(*world); }, options);
}
INSTANTIATE_TEST_SUITE_P(Cases, Checked, ::testing::ValuesIn(testing::conformance_cases()),
                         [](const auto& info) { return info.param.name; });

// Messages between two ranks are matched by the order of their start, also where several wait for
// their check at the same time.
TEST(CheckedCollectives, MessagesKeepTheirOrder) {
  CommOptions options = checked();
  options.segment_bytes = 64;
  constexpr size_t kElements = 16 * 40;  // forty segments of each rank's piece
  run_ranks(
      2,
      [&](int rank, const auto& world) {
        std::vector<float> in(2 * kElements);
        std::vector<float> out(kElements);
        for (int round = 0; round < 200; ++round) {
          for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
          world->reduce_scatter_sum(view(in), view(out), "sums").finish();
          for (size_t i = 0; i < out.size(); ++i) {
            const size_t at = static_cast<size_t>(rank) * kElements + i;
            ASSERT_EQ(out[i], 2.0F * static_cast<float>(at)) << "element " << i << " of " << round;
          }
        }
        std::vector<std::vector<float>> messages(4, std::vector<float>(8));
        for (int round = 0; round < 2000; ++round) {
          std::vector<Work> works;
          for (size_t i = 0; i < messages.size(); ++i) {
            if (rank == 0) messages[i].assign(8, static_cast<float>(i));
            works.push_back(rank == 0 ? world->send(view(messages[i]), 1, "ring")
                                      : world->receive(view(messages[i]), 0, "ring"));
          }
          for (Work& work : works) work.finish();
          for (size_t i = 0; i < messages.size(); ++i)
            ASSERT_EQ(messages[i][0], static_cast<float>(i)) << "message " << i << " of " << round;
        }
      },
      options);
}

TEST(CheckedCollectives, BitsAreTheSame) {
  std::array<uint64_t, 2> hashes{};
  for (const bool check : {false, true}) {
    run_ranks(
        3,
        [&](int rank, const auto& world) {
          const uint64_t hash = testing::conformance_hash(*world);
          if (rank == 0) hashes[check ? 1 : 0] = hash;
        },
        check ? checked() : CommOptions());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

}  // namespace
}  // namespace troupe
