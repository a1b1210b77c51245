// Learning-rate schedules: pure functions of the step, so that a resume needs no state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/field.h"

namespace troupe {

struct ScheduleKind {
  std::string name;
  std::string help;
  FieldList fields;
};
const std::vector<ScheduleKind>& schedules();
// Options of one kind. Throws Error(usage) for an unknown name.
const FieldList& schedule_fields(const std::string& type);

// What the peak learning rate is multiplied by at step `step` (from 0) of `steps`. With t = step +
// 1 and W = warmup: t / W up to t = W; then, with p = (t - W) / (steps - W) in (0, 1],
//   constant      1
//   linear        1 - (1 - min_ratio) p
//   cosine        min_ratio + (1 - min_ratio) (1 + cos(pi p)) / 2
//   inverse_sqrt  max(min_ratio, sqrt(max(W, 1) / t))
//   wsd           1, then over the last decay_fraction of the steps linearly down to min_ratio
// Steps beyond the end keep the value of the last one (but inverse_sqrt goes on falling).
double schedule_factor(const std::string& type, const Options& options, int64_t step,
                       int64_t steps);

}  // namespace troupe
