#include "parallel/checkpoint/snapshot.h"

#include "core/device/cpu/parallel_for.h"

namespace troupe::checkpoint {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kPieceBytes = 1 << 20;

struct Copy {
  size_t share = 0;
  Box piece;
};

}  // namespace

std::vector<OwnShare> Snapshot::take(const CoveragePlan& plan,
                                     const std::vector<OwnShare>& shares) {
  std::vector<int64_t> begins;
  std::vector<Copy> copies;
  int64_t bytes = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    const TensorPlan& tensor = plan.tensors[shares[i].tensor];
    const Box& box = tensor.shares[shares[i].share].box;
    const size_t element = size_of(tensor.dtype);
    begins.push_back(bytes);
    bytes += volume(box) * static_cast<int64_t>(element);
    bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    for_each_piece(box, element, kPieceBytes, [&](const Box& piece) {
      copies.push_back({i, piece});
    });
  }
  if (!buffer_.defined() || static_cast<int64_t>(buffer_.bytes()) < bytes) {
    buffer_ = Tensor();
    buffer_ = Tensor::empty({bytes}, DType::u8, device_, MemoryKind::checkpoint);
  }
  std::vector<OwnShare> out = shares;
  for (size_t i = 0; i < shares.size(); ++i) {
    const Box& box = plan.tensors[shares[i].tensor].shares[shares[i].share].box;
    out[i].source = packed(box, buffer_.data<uint8_t>() + begins[i]);
  }
  parallel_for(device_->stream(), static_cast<int64_t>(copies.size()), [&](int64_t i) {
    const Copy& copy = copies[static_cast<size_t>(i)];
    const size_t element = size_of(plan.tensors[shares[copy.share].tensor].dtype);
    copy_region(copy.piece, element, shares[copy.share].source, out[copy.share].source);
  });
  return out;
}

}  // namespace troupe::checkpoint
