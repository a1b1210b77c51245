// Where two free runs of one model routed differently, and by how little: a flip that rounding
// caused has a tiny margin, one that a bug caused has not.
#pragma once

#include <string>
#include <vector>

#include "models/verify/layout_run.h"

namespace troupe::laws {

struct Flip {
  int64_t layer = 0;  // of the MoE layers
  int64_t sample = 0;
  int64_t token = 0;    // position in the sample
  int32_t expert = -1;  // chosen in the first run; -1 = none at this place
  int32_t other = -1;   // chosen in the second run instead
  double margin = 0;    // how far apart the first run saw them, in what its router compares
};
std::string text(const Flip& flip);

// Flips of the first step in the first MoE layer: only there both runs see the same tokens with the
// same weights, to within rounding. What lies behind a flip has other inputs and proves nothing.
//  - token choice: the gap of the two experts' scores;
//  - an expert left out by a draw: the change of what the draw is held against
//    (RouterDescriptor::drawn_against);
//  - expert choice: the gap to the nearest token that the expert took instead.
std::vector<Flip> routing_flips(const LayoutRun& law, const LawResult& one, const LawResult& other);
double largest_margin(const std::vector<Flip>& flips);

}  // namespace troupe::laws
