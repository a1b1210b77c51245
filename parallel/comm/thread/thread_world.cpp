#include "parallel/comm/thread/thread_world.h"

#include <exception>
#include <thread>
#include <vector>

#include "parallel/comm/group_communicator.h"
#include "parallel/comm/thread/thread_transport.h"

namespace troupe {

void run_ranks(int ranks, const std::function<void(int, std::shared_ptr<Communicator>)>& f,
               const CommOptions& options) {
  require(ranks >= 1, "a world needs at least one rank, got {}", ranks);
  auto world = std::make_shared<ThreadExchange>(ranks);
  std::vector<std::exception_ptr> failures(static_cast<size_t>(ranks));
  const auto run = [&](int rank) {
    try {
      f(rank, GroupCommunicator::of_all(thread_transport(world, rank), options));
      world->end(rank);
    } catch (const Error& error) {
      failures[static_cast<size_t>(rank)] = std::current_exception();
      world->poison(rank, error.what(), error.code());
    } catch (const std::exception& error) {
      failures[static_cast<size_t>(rank)] = std::current_exception();
      world->poison(rank, error.what(), ExitCode::internal);
    } catch (...) {
      failures[static_cast<size_t>(rank)] = std::current_exception();
      world->poison(rank, "an exception of unknown type", ExitCode::internal);
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
  for (std::thread& thread : threads) thread.join();
  if (!world->poisoned()) return;
  const auto& root = failures[static_cast<size_t>(world->failed_rank())];
  if (root != nullptr) std::rethrow_exception(root);
  world->throw_cause();
}

}  // namespace troupe
