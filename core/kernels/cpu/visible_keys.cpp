#include "core/kernels/visible_keys.h"

#include <algorithm>
#include <limits>

#include "core/base/error.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {

void first_visible(Stream& /*stream*/, View documents, int64_t window, int64_t q_offset,
                   View first) {
  const auto* document = documents.data == nullptr ? nullptr : documents.as<int32_t>();
  auto* to = first.as<int32_t>();
  const int64_t queries = first.dim(1);
  for (int64_t b = 0; b < first.dim(0); ++b) {
    int64_t start = 0;
    for (int64_t s = 0; s < queries; ++s) {
      const int64_t at = b * queries + s;
      if (document != nullptr && s > 0 && document[at] != document[at - 1]) {
        require(document[at] > document[at - 1], "document ids fall from {} to {} at position {}",
                document[at - 1], document[at], s);
        start = s;
      }
      const int64_t by_window = window > 0 ? s + q_offset - window + 1 : 0;
      to[at] = static_cast<int32_t>(std::max(start, by_window));
    }
  }
}

void visible_end(Stream& /*stream*/, int64_t q_offset, int64_t keys, View end) {
  auto* to = end.as<int32_t>();
  for (int64_t b = 0; b < end.dim(0); ++b) {
    for (int64_t s = 0; s < end.dim(1); ++s)
      *to++ = static_cast<int32_t>(std::min(s + q_offset + 1, keys));
  }
}

void key_mask(Stream& /*stream*/, View first, View end, View mask) {
  const auto* from = first.as<int32_t>();
  const auto* until = end.as<int32_t>();
  const int64_t keys = mask.dim(2);
  const auto fill = [&](auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    for (int64_t i = 0; i < first.elements(); ++i) {
      for (int64_t j = 0; j < keys; ++j) {
        const bool seen = j >= from[i] && j < until[i];
        *to++ = seen ? T(0) : -std::numeric_limits<T>::infinity();
      }
    }
  };
  if (mask.dtype == DType::f64) return fill(mask.as<double>());
  fill(mask.as<float>());
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void first_visible(Stream& stream, View documents, int64_t window, int64_t q_offset, View first) {
  on_device<cpu::first_visible>(stream, documents, window, q_offset, first);
}

void visible_end(Stream& stream, int64_t q_offset, int64_t keys, View end) {
  on_device<cpu::visible_end>(stream, q_offset, keys, end);
}

void key_mask(Stream& stream, View first, View end, View mask) {
  on_device<cpu::key_mask>(stream, first, end, mask);
}

}  // namespace troupe::kernels
