// What a layer keeps of the previous step's whole batch, for balance terms of scope global_batch.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/parameter/state.h"
#include "core/tensor/tensor.h"
#include "moe/balance/balance.h"
#include "moe/routers/router_stats.h"

namespace troupe {

class PreviousBatch {
 public:
  PreviousBatch(int64_t experts, const std::shared_ptr<Device>& device);

  // Fractions of the batch; empty (uniform) where nothing was counted.
  BatchLoad load() const;
  // pairs: [E] those that f counts.
  void set(std::span<const int64_t> pairs, const RouterStats& whole_batch);
  // layer: its logical name.
  void state(const std::string& layer, State& state) const;

 private:
  // f64 [E], sums over the batch.
  Tensor pairs_;
  Tensor probability_;
  Tensor load_;
};

}  // namespace troupe
