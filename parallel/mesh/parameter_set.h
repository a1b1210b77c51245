// The parameters that a module owns, made from their list.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/mesh/parameter_spec.h"

namespace troupe {

// What tensors of parameters are made from.
struct ParameterMaker {
  const Mesh* mesh = nullptr;
  std::shared_ptr<Device> device;
  uint64_t seed = 0;  // of the initial values
};

// In the order of the list. Values that are spread over ranks (zero 3) are left without memory, for
// whoever spreads them.
class ParameterSet {
 public:
  ParameterSet(const std::vector<ParameterSpec>& specs, const ParameterMaker& maker);
  // By its whole name; `find` gives null where there is none.
  Parameter& at(const std::string& name) const;
  Parameter* find(const std::string& name) const;
  void append_to(std::vector<Parameter*>& out) const;
  void visit(const std::function<void(Parameter&)>& visitor) const;

 private:
  std::vector<std::unique_ptr<Parameter>> list_;
};

}  // namespace troupe
