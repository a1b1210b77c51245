// parallel.zero 3: every rank keeps the values of the elements that it owns; those of a block are
// brought together when the block is about to run, forward or backward, and go when it has run.
//
//   ShardedParameters values(model parameters, their units, mesh);
//   values.announce(uses of the step);
//   for each use: { values.gather(unit); ...; values.release(unit); }
//
// The memory of a value is that of a Storage whose memory comes and goes: the tape and the forms of
// a weight refer to the Storage, so nothing that was recorded in forward needs to know. While a
// unit computes the next one of the announced order is on its way; never more than these two are
// here, besides those whose use says that they stay.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/parameter/parameter.h"
#include "core/parameter/parameter_gatherer.h"
#include "parallel/dp/value_plan.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

class ShardedParameters final : public ParameterGatherer {
 public:
  // units: of each parameter, consecutive. Parameters whose gradient group is one rank, and those
  // of two stages, stay whole. Draws the initial values of all others, one at a time, and keeps
  // what this rank owns: so it comes after GradientSync, with the same bucket_bytes, which says who
  // owns what. Parameters and mesh must outlive this.
  ShardedParameters(std::vector<Parameter*> parameters, const std::vector<std::string>& units,
                    const Mesh& mesh, int64_t bucket_bytes = kBucketBytes);
  ShardedParameters(const ShardedParameters&) = delete;
  ShardedParameters& operator=(const ShardedParameters&) = delete;

  // The calls below are collective over the gradient groups of the unit's parameters.
  void announce(std::vector<ValueUse> uses) override;
  void gather(const std::string& unit) override;
  void release(const std::string& unit) override;

 private:
  struct Segment {
    ValueSegment plan;
    Communicator* group = nullptr;
    Tensor whole;                   // [elements]; its memory is there from start to drop
    Tensor own;                     // [of them that this rank owns], always there
    std::vector<FlatRange> pieces;  // of each rank of the group, in `whole`
    std::vector<Work> coming;       // into `whole`: declared after it, so that it ends before
  };
  struct Unit {
    std::vector<Segment> segments;
    bool held = false;
    bool stays = false;  // of the announced uses
  };
  void keep_own(Segment& segment, const Bucket& bucket, const Tensor& own);
  void start(Unit& unit);
  void start_next(const std::string& current);
  void finish(Unit& unit);
  void drop(Unit& unit);

  std::vector<Parameter*> parameters_;
  const Mesh& mesh_;
  std::map<std::string, Unit> units_;
  std::vector<ValueUse> uses_;
  size_t at_ = 0;  // in uses_: the next one
};

}  // namespace troupe
