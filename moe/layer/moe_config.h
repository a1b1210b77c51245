// The configuration of one MoE layer, as plain data (launch/config fills it from YAML).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/tensor/dtype.h"

namespace troupe {

enum class Priority : uint8_t { position, gate };

// Which tokens compete for an expert's capacity.
struct GroupRule {
  enum class Kind : uint8_t { sequence, tokens, across_batch } kind = Kind::sequence;
  int64_t tokens = 0;     // for Kind::tokens: size of a group of consecutive tokens
  int64_t sequences = 0;  // for Kind::across_batch: S sequences at the same position
};

enum class BalanceScope : uint8_t { sequence, microbatch, global_batch };

struct BalanceTerm {
  std::string type;  // switch | z | importance | load
  double coef = 0.0;
  BalanceScope scope = BalanceScope::sequence;
};

struct MoEConfig {
  int64_t experts = 8;
  int64_t ffn_dim = 256;
  std::string router = "topk";
  Options router_options;                      // of the router's field list
  std::optional<double> capacity_factor;       // none = dropless
  std::optional<double> capacity_factor_eval;  // resolved: equal to capacity_factor unless given
  int64_t min_capacity = 4;
  Priority priority = Priority::position;
  int64_t shared_experts = 0;
  int64_t shared_ffn_dim = 256;  // resolved
  std::vector<BalanceTerm> balance;
  GroupRule group;
  DType router_precision = DType::f32;  // resolved: f32 or f64
  int overlap = 1;
};

}  // namespace troupe
