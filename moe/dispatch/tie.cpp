#include "moe/dispatch/tie.h"

#include <cmath>

namespace troupe {

double tie_score(double score, DType precision) {
  if (!std::isfinite(score)) return score;
  int exponent = 0;
  const double mantissa = std::frexp(score, &exponent);
  const int bits = precision == DType::f64 ? 40 : 16;
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, bits)), exponent - bits);
}

}  // namespace troupe
