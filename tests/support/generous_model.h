// A model that nearly every layout of few ranks can cut.
#pragma once

#include "models/layouts/layout_rules.h"

namespace troupe {

inline LayoutInputs generous() {
  LayoutInputs s;
  s.layers = 16;
  s.heads = s.kv_heads = 64;
  s.seq_len = 128;
  s.experts = s.expert_ffn = 64;
  s.global_batch = 64;
  s.micro_batch = 1;
  return s;
}

}  // namespace troupe
