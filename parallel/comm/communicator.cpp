#include "parallel/comm/communicator.h"

#include <array>
#include <exception>

namespace troupe {

const char* name(CollectiveKind kind) {
  constexpr std::array<const char*, 8> names = {"barrier",    "broadcast",      "all_reduce",
                                                "all_gather", "reduce_scatter", "all_to_all",
                                                "send",       "receive"};
  return names[static_cast<size_t>(kind)];
}

Work& Work::operator=(Work&& other) noexcept(false) {
  if (this != &other) {
    finish();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

Work::~Work() {
  // While an exception unwinds this rank its peers may never answer: drop the operation instead of
  // waiting.
  if (impl_ == nullptr || std::uncaught_exceptions() > 0) return;
  try {
    finish();
  } catch (...) {
    // A deadline or a failed peer: the next operation on the group throws it again.
  }
}

}  // namespace troupe
