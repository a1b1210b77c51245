// The tensors of a model as another program keeps them, in one file or in many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/formats/saved_tensor.h"

namespace troupe {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  WeightSource(const WeightSource&) = delete;
  WeightSource& operator=(const WeightSource&) = delete;

  // Ordered by name, each once.
  const std::vector<SavedTensor>& tensors() const { return tensors_; }
  // Null when there is none of that name.
  const SavedTensor* find(const std::string& name) const;
  // `bytes` bytes of one of tensors(), from its byte `first` on.
  virtual void read(const SavedTensor& tensor, int64_t first, int64_t bytes,
                    std::byte* out) const = 0;
  // Paths of the files that hold them.
  virtual std::vector<std::string> files() const = 0;

 protected:
  WeightSource() = default;
  std::vector<SavedTensor> tensors_;
};

}  // namespace troupe
