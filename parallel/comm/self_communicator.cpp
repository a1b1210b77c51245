#include "parallel/comm/self_communicator.h"

#include "parallel/comm/group_communicator.h"

namespace troupe {
namespace {

class SelfTransport final : public Transport {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Transfer> start_send(int to, const void*, int64_t, int) override { nobody(to); }
  std::unique_ptr<Transfer> start_receive(int from, void*, int64_t, int) override { nobody(from); }
  void check() override {}
  void poison(const std::string&, ExitCode) override {}
  StatusBoard* board() override { return nullptr; }
  bool may_spin() const override { return true; }

 private:
  [[noreturn]] static void nobody(int rank) {
    fail(ExitCode::internal, "a message to or from rank {} in a world of one rank", rank);
  }
};

}  // namespace

std::shared_ptr<Communicator> self_communicator(const CommOptions& options) {
  return GroupCommunicator::of_all(std::make_unique<SelfTransport>(), options);
}

}  // namespace troupe
