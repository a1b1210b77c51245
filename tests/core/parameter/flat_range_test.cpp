#include "core/parameter/flat_range.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace troupe {
namespace {

Box box(const Shape& offset, const Shape& size) { return {offset, size}; }

int64_t flat_index(const Shape& shape, const Shape& index) {
  const Shape strides = contiguous_strides(shape);
  int64_t out = 0;
  for (int dim = 0; dim < shape.rank(); ++dim) out += index[dim] * strides[dim];
  return out;
}

// Calls f(global index, local flat number) for each element of a box.
template <typename F>
void for_each(const RangeBox& found, const Shape& local, F f) {
  const Shape strides = contiguous_strides(local);
  const Shape& size = found.global.size;
  for (int64_t i = 0; i < size.elements(); ++i) {
    Shape global = found.global.offset;
    int64_t number = found.first;
    int64_t rest = i;
    for (int dim = size.rank() - 1; dim >= 0; --dim) {
      global[dim] += rest % size[dim];
      number += rest % size[dim] * strides[dim];
      rest /= size[dim];
    }
    f(global, number);
  }
}

// The global index of every local element, from the definition of a slice.
std::vector<int64_t> places(const LocalSlice& slice, const Shape& global) {
  std::vector<int64_t> out(static_cast<size_t>(slice.shape.elements()), -1);
  for (const LocalPart& part : slice.parts) {
    for_each({part.global, flat_index(slice.shape, part.local_offset)}, slice.shape,
             [&](const Shape& at, int64_t number) {
               out[static_cast<size_t>(number)] = flat_index(global, at);
             });
  }
  return out;
}

// All ranges of the local tensor: each element once, at its place.
void check_all_ranges(const LocalSlice& slice, const Shape& global, size_t most) {
  const std::vector<int64_t> expected = places(slice, global);
  const int64_t n = slice.shape.elements();
  for (int64_t begin = 0; begin <= n; ++begin) {
    for (int64_t end = begin; end <= n; ++end) {
      std::vector<int64_t> seen(static_cast<size_t>(n), -1);
      const auto boxes = boxes_of_range(slice, {begin, end - begin});
      EXPECT_LE(boxes.size(), most) << begin << " " << end;
      for (const RangeBox& found : boxes) {
        for_each(found, slice.shape, [&](const Shape& at, int64_t number) {
          ASSERT_TRUE(number >= begin && number < end);
          EXPECT_EQ(seen[static_cast<size_t>(number)], -1) << "twice";
          seen[static_cast<size_t>(number)] = flat_index(global, at);
        });
      }
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(i);
        ASSERT_EQ(seen[at], i >= begin && i < end ? expected[at] : -1) << begin << " " << end;
      }
    }
  }
}

TEST(FlatRange, BoxesOfOneBox) {
  check_all_ranges(box({}, {}), {}, 1);
  check_all_ranges(box({3}, {7}), {12}, 1);
  check_all_ranges(box({1, 2}, {4, 5}), {6, 8}, 3);
  check_all_ranges(box({1, 0, 2}, {3, 4, 2}), {5, 4, 6}, 5);
  check_all_ranges(box({0, 0, 0, 0}, {2, 3, 2, 2}), {2, 3, 2, 2}, 7);
  check_all_ranges(box({0, 0}, {0, 5}), {6, 5}, 0);
}

TEST(FlatRange, BoxesOfASliceWithSections) {
  // Rows 1, 2 and 5, 6 of 8: half of two sections.
  const LocalSlice rows({4, 3}, {{box({1, 0}, {2, 3}), {0, 0}}, {box({5, 0}, {2, 3}), {2, 0}}});
  check_all_ranges(rows, {8, 3}, 4);
  // Columns 0 and 3 of 4.
  const LocalSlice columns({3, 2}, {{box({0, 0}, {3, 1}), {0, 0}}, {box({0, 3}, {3, 1}), {0, 1}}});
  check_all_ranges(columns, {3, 4}, 6);
}

TEST(FlatRange, RefusesWhatIsOutside) {
  EXPECT_THROW(boxes_of_range(box({0}, {4}), {2, 3}), Error);
  EXPECT_THROW(boxes_of_range(box({0}, {4}), {-1, 3}), Error);
}

TEST(FlatRange, StateViewsLieInTheRange) {
  const auto device = Device::cpu();
  const Layout layout = Layout::replicated({3, 4}, MeshKind::attention, {Axis::dp});
  std::vector<double> numbers;
  for (int i = 3; i < 10; ++i) numbers.push_back(i);
  State state;
  append_range(state, "w", layout, box({0, 0}, {3, 4}), {3, 7},
               Tensor::from(numbers, {7}, DType::f32, device));
  ASSERT_EQ(state.tensors.size(), 3U);
  for (const StateTensor& part : state.tensors) {
    const auto values = part.tensor.values();
    ASSERT_EQ(static_cast<int64_t>(values.size()), part.box.size.elements());
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i],
                static_cast<double>(flat_index({3, 4}, part.box.offset)) + static_cast<double>(i));
    }
  }
  append_range(state, "none", layout, box({0, 0}, {3, 4}), {5, 0},
               Tensor::empty({0}, DType::f32, device));
  ASSERT_EQ(state.tensors.size(), 4U);
  EXPECT_EQ(state.tensors.back().name, "none");
  EXPECT_EQ(state.tensors.back().box.size.elements(), 0);
  EXPECT_THROW(append_range(state, "w", layout, box({0, 0}, {3, 4}), {3, 7},
                            Tensor::empty({6}, DType::f32, device)),
               Error);
}

}  // namespace
}  // namespace troupe
