#include "models/layouts/layout_text.h"

#include <fmt/core.h>

namespace troupe {
namespace {

std::string product(const MeshShape& shape, std::initializer_list<Axis> axes) {
  std::string text;
  for (Axis axis : axes) {
    if (shape[axis] == 1) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : " x ", name(axis), shape[axis]);
  }
  return text;
}

}  // namespace

const EnumNames<PipelineSchedule>& pipeline_schedule_names() {
  static const EnumNames<PipelineSchedule> names{{"gpipe", PipelineSchedule::gpipe},
                                                 {"1f1b", PipelineSchedule::one_f_one_b},
                                                 {"interleaved", PipelineSchedule::interleaved},
                                                 {"zero_bubble", PipelineSchedule::zero_bubble}};
  return names;
}

const EnumNames<CpKind>& cp_kind_names() {
  static const EnumNames<CpKind> names{{"ring", CpKind::ring}, {"all_to_all", CpKind::all_to_all}};
  return names;
}

const EnumNames<EpKind>& ep_kind_names() {
  static const EnumNames<EpKind> names{{"flat", EpKind::flat},
                                       {"hierarchical", EpKind::hierarchical}};
  return names;
}

const char* name(PipelineSchedule schedule) { return name_in(pipeline_schedule_names(), schedule); }
const char* name(CpKind kind) { return name_in(cp_kind_names(), kind); }
const char* name(EpKind kind) { return name_in(ep_kind_names(), kind); }

std::string describe(const Parallelism& parallelism) {
  const MeshShape& shape = parallelism.shape;
  std::string text = product(shape, {Axis::pp, Axis::dp, Axis::cp, Axis::tp});
  if (text.empty()) return "1 rank";
  const bool experts = shape[Axis::ep] * shape[Axis::etp] > 1;
  if (experts) text += ", experts " + product(shape, {Axis::edp, Axis::ep, Axis::etp});
  const auto also = [&](bool acts, const std::string& words) {
    if (acts) text += ", " + words;
  };
  also(shape[Axis::tp] > 1 && parallelism.sp, "sp");
  also(shape[Axis::cp] > 1, name(parallelism.cp_kind));
  also(shape[Axis::pp] > 1, name(parallelism.schedule));
  also(shape[Axis::pp] > 1 && parallelism.virtual_stages > 1,
       fmt::format("{} chunks a stage", parallelism.virtual_stages));
  also(parallelism.zero > 0, fmt::format("zero {}", parallelism.zero));
  also(shape[Axis::ep] > 1 && parallelism.ep_kind == EpKind::hierarchical, "hierarchical");
  return text;
}

}  // namespace troupe
