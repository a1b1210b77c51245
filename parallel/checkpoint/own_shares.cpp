#include "parallel/checkpoint/own_shares.h"

#include "core/base/error.h"

namespace troupe::checkpoint {

std::vector<OwnShare> own_shares(const CoveragePlan& plan, const State& state, int rank) {
  const LocalParts local(state);
  std::vector<OwnShare> out;
  for (size_t tensor = 0; tensor < plan.tensors.size(); ++tensor) {
    const TensorPlan& entry = plan.tensors[tensor];
    for (size_t share = 0; share < entry.shares.size(); ++share) {
      if (entry.shares[share].writer != rank) continue;
      const StateTensor* mine = local.around(entry.name, entry.shares[share].box);
      require(mine != nullptr, "checkpoint: rank {} is to write {} of {}, which it does not hold",
              rank, text(entry.shares[share].box), entry.name);
      out.push_back({tensor, share, array_of(*mine)});
    }
  }
  return out;
}

void for_each_packed(const Box& box, size_t element_bytes, const BoxArray& source, int64_t limit,
                     const std::function<void(const Box& piece, const std::byte* data)>& take) {
  std::vector<std::byte> buffer;
  for_each_piece(box, element_bytes, limit, [&](const Box& piece) {
    int runs = 0;
    const std::byte* first = nullptr;
    for_each_common_run(piece, source, packed(piece, nullptr), [&](int64_t at, int64_t, int64_t) {
      if (runs++ == 0) {
        first = source.data + static_cast<size_t>(at) * element_bytes;
      }
    });
    if (runs == 1) return take(piece, first);
    buffer.resize(static_cast<size_t>(volume(piece)) * element_bytes);
    copy_region(piece, element_bytes, source, packed(piece, buffer.data()));
    take(piece, buffer.data());
  });
}

void write_box(PosixFile& file, int64_t offset, const Box& in_file, const Box& piece,
               size_t element_bytes, const std::byte* data) {
  const auto element = static_cast<int64_t>(element_bytes);
  for_each_common_run(piece, packed(in_file, nullptr), packed(piece, nullptr),
                      [&](int64_t at_file, int64_t at_data, int64_t count) {
                        file.write_at(offset + at_file * element, data + at_data * element,
                                      count * element);
                      });
  file.write_behind();
}

}  // namespace troupe::checkpoint
