#include <optional>

#include "core/base/error.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/coverage_plan.h"
#include "parallel/checkpoint/file_writer.h"

namespace troupe::checkpoint {
namespace {

// Gathers the pieces of one tensor on rank 0, which hands each to `take`.
class Gatherer {
 public:
  Gatherer(const TensorPlan& plan, const LocalParts& local, Communicator& world)
      : plan_(plan), local_(local), world_(world), element_(size_of(plan.dtype)) {}

  template <typename Take>
  void piece(const Box& piece, Take take) {
    const bool root = world_.rank() == 0;
    if (root) assembled_.resize(static_cast<size_t>(volume(piece)) * element_);
    for (const Part& part : plan_.parts) {
      const auto region = intersection(part.box, piece);
      if (!region) continue;
      if (part.writer() == world_.rank()) {
        give(*local_.find(plan_.name, part.box), *region, piece);
      } else if (root) {
        receive(*region, piece, part.writer());
      }
    }
    if (root) take(piece, assembled_.data());
  }

 private:
  // This rank's share: straight into place on rank 0, else packed and sent.
  void give(const StateTensor& entry, const Box& region, const Box& piece) {
    if (world_.rank() == 0) {
      copy_region(region, element_, array_of(entry), packed(piece, assembled_.data()));
      return;
    }
    parcel_.resize(static_cast<size_t>(volume(region)) * element_);
    copy_region(region, element_, array_of(entry), packed(region, parcel_.data()));
    world_.send(parcel_view(), 0, "checkpoint save " + plan_.name).wait();
  }
  void receive(const Box& region, const Box& piece, int from) {
    parcel_.resize(static_cast<size_t>(volume(region)) * element_);
    world_.receive(parcel_view(), from, "checkpoint save " + plan_.name).wait();
    copy_region(region, element_, packed(region, parcel_.data()), packed(piece, assembled_.data()));
  }
  View parcel_view() { return bytes_view(parcel_.data(), static_cast<int64_t>(parcel_.size())); }

  const TensorPlan& plan_;
  const LocalParts& local_;
  Communicator& world_;
  size_t element_;
  std::vector<std::byte> assembled_;
  std::vector<std::byte> parcel_;
};

}  // namespace

void save(const std::string& path, const State& state, Communicator& world,
          const SaveOptions& options) {
  const CoveragePlan plan = gather_plan(state, true, world);
  const LocalParts local(state);

  std::optional<FileWriter> writer;
  std::optional<Failure> failure;
  if (world.rank() == 0) {
    failure = attempt([&] { writer.emplace(path, plan, state.scalars, options.config); });
  }
  agree(failure, world, "checkpoint open");
  // Rank 0 keeps receiving after a failure, so that no peer waits for ever; the outcome is agreed
  // on at the end.
  const auto on_disk = [&](auto&& work) {
    if (writer && !failure) failure = attempt(work);
  };
  for (const TensorPlan& tensor : plan.tensors) {
    Gatherer gatherer(tensor, local, world);
    on_disk([&] { writer->begin(tensor); });
    for_each_piece(tensor.global, size_of(tensor.dtype), options.piece_bytes,
                   [&](const Box& piece) {
                     gatherer.piece(piece, [&](const Box& box, const void* data) {
                       on_disk([&] { writer->write(box, data); });
                     });
                   });
    on_disk([&] { writer->end(); });
  }
  on_disk([&] { writer->commit(); });
  writer.reset();  // removes the temporary file of a failed save
  agree(failure, world, "checkpoint save");
}

}  // namespace troupe::checkpoint
