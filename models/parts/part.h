// A part of a model as a family chooses it, before there are tensors: its parameters, what it keeps
// in memory, and the module that it becomes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/parts/parameters.h"
#include "models/parts/part_memory.h"

namespace troupe {

template <typename Module>
class Part {
 public:
  virtual ~Part() = default;
  // name: where it stands in the model, "layers.3.attention". In the order of the module's own.
  virtual std::vector<ParameterSpec> parameters(const std::string& name,
                                                const ParameterContext& context) const = 0;
  virtual PartMemory memory(const MemoryContext& context) const = 0;
  virtual std::unique_ptr<Module> make(const std::string& name,
                                       const ModuleContext& context) const = 0;
};

// A part that says how it is called within its block.
template <typename Module>
class NamedPart : public Part<Module> {
 public:
  virtual std::string name() const = 0;
};

}  // namespace troupe
