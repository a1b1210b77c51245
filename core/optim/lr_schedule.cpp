#include "core/optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.h"

namespace troupe {
namespace {

Field warmup() {
  Field field =
      make_field("warmup", FieldType::integer, int64_t{100},
                 "Steps over which the learning rate rises linearly to its peak; 0 = none.");
  field.minimum = 0;
  field.maximum = 1e12;
  field.on_resume = OnResume::may_change;
  return field;
}

// An option that is a share, in [0, 1].
Field share(const char* name, double default_value, const char* help) {
  Field field = make_field(name, FieldType::real, default_value, help);
  field.minimum = 0;
  field.maximum = 1;
  field.on_resume = OnResume::may_change;
  return field;
}

Field min_ratio() {
  return share("min_ratio", 0.1,
               "Share of the peak learning rate below which the schedule does not fall.");
}

Field decay_fraction() {
  return share("decay_fraction", 0.2,
               "Share of all steps, at the end, over which the learning rate falls.");
}

// How far t is on the way from `begin` to `end`, in [0, 1].
double progress(int64_t t, int64_t begin, int64_t end) {
  if (t <= begin) return 0.0;  // also where nothing lies between: the end of a warm-up is the peak
  if (t >= end) return 1.0;
  return static_cast<double>(t - begin) / static_cast<double>(end - begin);
}

}  // namespace

const std::vector<ScheduleKind>& schedules() {
  static const std::vector<ScheduleKind> kinds = {
      {"constant", "The peak value.", {warmup()}},
      {"linear", "Falls linearly to min_ratio.", {warmup(), min_ratio()}},
      {"cosine", "Falls along half a cosine to min_ratio.", {warmup(), min_ratio()}},
      {"inverse_sqrt", "Falls with the root of the step.", {warmup(), min_ratio()}},
      {"wsd",
       "Warm-up, stable, decay: falls linearly over the last part only.",
       {warmup(), min_ratio(), decay_fraction()}},
  };
  return kinds;
}

const FieldList& schedule_fields(const std::string& type) {
  for (const ScheduleKind& kind : schedules()) {
    if (kind.name == type) return kind.fields;
  }
  fail(ExitCode::usage,
       "learning-rate schedule {}: choose constant, linear, cosine, inverse_sqrt or wsd", type);
}

double schedule_factor(const std::string& type, const Options& options, int64_t step,
                       int64_t steps) {
  schedule_fields(type);  // refuses unknown types
  const int64_t warm = options.integer("warmup");
  const int64_t t = step + 1;
  if (t < warm) return static_cast<double>(t) / static_cast<double>(warm);
  if (type == "constant") return 1.0;
  const double floor = options.real("min_ratio");
  if (type == "inverse_sqrt") {
    const auto start = static_cast<double>(std::max<int64_t>(warm, 1));
    return std::max(floor, std::sqrt(start / static_cast<double>(t)));
  }
  if (type == "wsd") {
    const auto decay = std::llround(options.real("decay_fraction") * static_cast<double>(steps));
    if (decay == 0) return 1.0;
    return 1.0 - (1.0 - floor) * progress(t, std::max<int64_t>(warm, steps - decay), steps);
  }
  const double p = progress(t, warm, steps);
  if (type == "linear") return 1.0 - (1.0 - floor) * p;
  return floor + (1.0 - floor) * 0.5 * (1.0 + std::cos(std::numbers::pi * p));
}

}  // namespace troupe
