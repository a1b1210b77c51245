// Ties between tokens that compete for an expert.
#pragma once

#include "core/tensor/dtype.h"

namespace troupe {

// The score by which tokens are ranked against each other: the gate weight rounded to 40 bits (f64)
// or 16 bits (f32) of mantissa. Tokens that are equal in exact arithmetic are common (a sequence
// that begins with one token repeated gives equal hidden states at each of those positions); their
// computed scores differ in the last bits, which depend on how products are cut. Rounded, they tie,
// and ties go to the lowest index under every layout.
double tie_score(double score, DType precision);

}  // namespace troupe
