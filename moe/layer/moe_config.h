// The configuration of one MoE layer, as plain data (launch/config fills it from YAML).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/tensor/dtype.h"
#include "moe/balance/balance_term.h"
#include "moe/dispatch/capacity.h"
#include "moe/dispatch/groups.h"
#include "moe/routers/router_stats.h"

namespace troupe {

struct MoEConfig {
  int64_t experts = 8;
  int64_t ffn_dim = 256;
  std::string router = "topk";
  Options router_options;  // of the router's field list
  // The layer uses the router of this earlier one, on the same stage; none = one of its own.
  std::optional<int64_t> router_of_layer;
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

// Does what a token is routed to depend on later tokens of its sequence? Where experts choose among
// the tokens of a group that holds some: such a model is not causal.
bool sees_the_future(const MoEConfig& moe);

// What the layer's routing tells of itself, nothing counted yet.
RouterStats no_stats(const MoEConfig& moe);

}  // namespace troupe
