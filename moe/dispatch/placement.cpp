#include "moe/dispatch/placement.h"

#include <fmt/core.h>

#include <string>

#include "core/base/error.h"

namespace troupe {

Placement Placement::identity(int64_t experts, int64_t ranks) {
  require(ranks > 0, "a placement over {} ranks", ranks);
  if (experts % ranks != 0) {
    std::string legal;
    for (int64_t n = 1; n <= experts; ++n) {
      if (experts % n == 0) legal += (legal.empty() ? "" : ", ") + std::to_string(n);
    }
    fail(ExitCode::usage, "{} experts do not divide over {} ranks (ep); ep may be {}", experts,
         ranks, legal);
  }
  Placement out;
  out.ranks = ranks;
  out.slots = experts / ranks;
  for (int64_t e = 0; e < experts; ++e) {
    out.home.push_back({static_cast<int32_t>(e / out.slots), static_cast<int32_t>(e % out.slots)});
  }
  return out;
}

}  // namespace troupe
