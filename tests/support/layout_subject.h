// A small model that each rule of layouts can refuse, and layouts in one line.
#pragma once

#include "models/layouts/layout_rules.h"

namespace troupe {

inline LayoutInputs subject() {
  LayoutInputs s;
  s.layers = 8;
  s.heads = 8;
  s.kv_heads = 4;
  s.seq_len = 64;
  s.ffn_dim = 32;
  s.experts = 8;
  s.expert_ffn = 16;
  s.global_batch = 16;
  s.micro_batch = 1;
  return s;
}

// pp, dp, cp, tp, ep, etp
inline Parallelism layout(int pp, int dp, int cp, int tp, int ep = 1, int etp = 1) {
  return MeshShape::of({pp, dp, cp, tp, ep, etp});
}

}  // namespace troupe
