#include "parallel/checkpoint/host_state.h"

#include "core/kernels/elementwise.h"
#include "core/tensor/host_memory.h"

namespace troupe::checkpoint {
namespace {

bool on_host(const StateTensor& entry) {
  return !entry.tensor.defined() || entry.tensor.device()->host_readable();
}

std::span<std::byte> bytes_of(const Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.view().data), tensor.bytes()};
}

// Without the gaps between the elements of a part.
Tensor dense_like(const Tensor& x) {
  return Tensor::empty(x.shape(), x.dtype(), x.device(), MemoryKind::checkpoint);
}

}  // namespace

State empty_host_state(const State& state) {
  State out = state;
  std::shared_ptr<Device> host;
  for (StateTensor& entry : out.tensors) {
    if (on_host(entry)) continue;
    if (host == nullptr) host = Device::cpu(1);
    entry.tensor =
        Tensor::empty(entry.tensor.shape(), entry.tensor.dtype(), host, MemoryKind::checkpoint);
  }
  return out;
}

State host_state(const State& state) {
  State out = empty_host_state(state);
  for (size_t i = 0; i < out.tensors.size(); ++i) {
    Tensor from = state.tensors[i].tensor;
    if (on_host(state.tensors[i])) continue;
    if (!from.contiguous()) {
      from = dense_like(from);
      kernels::copy(from.stream(), state.tensors[i].tensor.view(), from.view());
    }
    const std::span<std::byte> to = bytes_of(out.tensors[i].tensor);
    from.device()->copy_to_host(from.view().data, to.data(), to.size());
  }
  return out;
}

void upload(const State& host, const State& state) {
  for (size_t i = 0; i < state.tensors.size(); ++i) {
    const Tensor& to = state.tensors[i].tensor;
    if (on_host(state.tensors[i])) continue;
    const Tensor dense = to.contiguous() ? to : dense_like(to);
    troupe::upload(bytes_of(host.tensors[i].tensor), dense);
    if (!to.contiguous()) kernels::copy(to.stream(), dense.view(), to.view());
  }
}

}  // namespace troupe::checkpoint
