// The one place where a kernel is chosen by the device of its stream. A header core/kernels/NAME.h
// declares kernels::NAME; core/kernels/cpu/NAME.cpp has the CPU's code, kernels::cpu::NAME, and
//
//   void NAME(Stream& stream, View x, View y) { on_device<cpu::NAME>(stream, x, y); }
//
// A device may have another function in that place (Device::kernel: the table of another backend
// joins there, by the CPU's function), and may show its memory to kernels at other addresses than
// views carry. Inside core/kernels/cpu kernels call cpu::NAME, whose views are for kernels already.
#pragma once

#include <span>
#include <type_traits>
#include <vector>

#include "core/base/error.h"
#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// Arguments that hold views say so by a member for_each_view(f), which calls f(View&) for each.
template <typename T>
concept HoldsViews = requires(T& t) {
  t.for_each_view([](View&) {});
};

inline void check_device(const Device& device, const View& view) {
  if (view.data == nullptr || view.device == device.kind()) return;
  fail(ExitCode::internal, "a kernel of a {} device was given {} memory", name(device.kind()),
       name(view.device));
}

// An argument as the kernels of a device get it.
template <typename T>
class ForKernels {
 public:
  ForKernels(const Device& device, const T& value) : value_(value) {
    const auto locate = [&device](View& view) {
      check_device(device, view);
      view.data = device.for_kernels(view.data);
    };
    if constexpr (std::is_same_v<T, View>) {
      locate(value_);
    } else if constexpr (HoldsViews<T>) {
      value_.for_each_view(locate);
    }
  }
  const T& get() const { return value_; }

 private:
  using Kept = std::conditional_t<std::is_same_v<T, View> || HoldsViews<T>, T, const T&>;
  Kept value_;
};

// A list of them.
template <HoldsViews T>
class ForKernels<std::span<const T>> {
 public:
  ForKernels(const Device& device, std::span<const T> values) {
    for (const T& value : values) values_.push_back(ForKernels<T>(device, value).get());
  }
  std::span<const T> get() const { return values_; }

 private:
  std::vector<T> values_;
};

template <auto cpu_kernel, typename... Args>
void on_device(Stream& stream, const Args&... args) {
  const Device& device = *stream.device;
  const auto run = reinterpret_cast<decltype(cpu_kernel)>(
      device.kernel(reinterpret_cast<KernelFunction>(cpu_kernel)));
  run(stream, ForKernels<Args>(device, args).get()...);
}

}  // namespace troupe::kernels
