// The main of every test executable that runs under mpirun. A test that fails on one rank fails the
// job. TROUPE_TEST_CHUNK_BYTES and TROUPE_TEST_SEGMENT_BYTES set the sizes of messages.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "tests/support/mpi_test.h"

namespace troupe::testing {
namespace {

std::unique_ptr<MpiWorld>& world() {
  static std::unique_ptr<MpiWorld> world;
  return world;
}

CommOptions options() {
  CommOptions options;
  options.timeout = std::chrono::seconds(60);
  if (const char* text = std::getenv("TROUPE_TEST_CHUNK_BYTES")) {
    options.chunk_bytes = std::atoll(text);
  }
  if (const char* text = std::getenv("TROUPE_TEST_SEGMENT_BYTES")) {
    options.segment_bytes = std::atoll(text);
  }
  return options;
}

}  // namespace

MpiWorld& mpi_test_world() { return *world(); }

}  // namespace troupe::testing

int main(int argc, char** argv) {
  using troupe::testing::world;
  world() = std::make_unique<troupe::MpiWorld>(troupe::testing::options());
  ::testing::InitGoogleTest(&argc, argv);
  // One listener prints; the others speak only when they fail.
  if (world()->rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    class Failures : public ::testing::EmptyTestEventListener {
      void OnTestPartResult(const ::testing::TestPartResult& result) override {
        if (result.failed()) {
          std::fprintf(stderr, "rank %d: %s:%d: %s\n", world()->rank(), result.file_name(),
                       result.line_number(), result.message());
        }
      }
    };
    listeners.Append(new Failures);
  }
  const int result = RUN_ALL_TESTS();
  if (result != 0) {
    // The ranks may be out of step: leave without waiting for them.
    world()->communicator()->world().poison("tests failed", troupe::ExitCode::internal);
    troupe::abort_world(troupe::ExitCode::internal,
                        "tests failed on rank " + std::to_string(world()->rank()));
  }
  world().reset();
  return 0;
}
