// A layout in words.
#pragma once

#include <string>

#include "core/base/enum_names.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

// "1f1b", "ring", "flat", ...
const EnumNames<PipelineSchedule>& pipeline_schedule_names();
const EnumNames<CpKind>& cp_kind_names();
const EnumNames<EpKind>& ep_kind_names();
const char* name(PipelineSchedule schedule);
const char* name(CpKind kind);
const char* name(EpKind kind);

// What is more than one rank wide and the choices that act on it:
// "dp 2 x tp 2, experts edp 2 x ep 2, sp, zero 1"; "1 rank".
std::string describe(const Parallelism& parallelism);

}  // namespace troupe
