// Terms that keep the experts evenly loaded, as configured.
#pragma once

#include <cstdint>
#include <string>

namespace troupe {

enum class BalanceScope : uint8_t { sequence, microbatch, global_batch, global_batch_exact };

struct BalanceTerm {
  std::string type;  // switch | z | importance | load
  double coef = 0.0;
  BalanceScope scope = BalanceScope::sequence;
};

}  // namespace troupe
