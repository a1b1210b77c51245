// The interface between a model and whoever keeps the values of its parameters spread over ranks:
// the gatherer gathers the values of a unit of the model (a block, the embedding, the head) while
// the model uses it.
#pragma once

#include <string>
#include <vector>

namespace troupe {

// One use of a unit: its values are read between gather() and release().
struct ValueUse {
  std::string unit;
  // The values stay until the next announce(), because they are read again without being fetched.
  bool stays = false;
};

class ParameterGatherer {
 public:
  virtual ~ParameterGatherer() = default;
  // The uses to come, in their order, so that the values of the next one can travel while this one
  // computes. Ends what was announced before: nothing is kept of it.
  virtual void announce(std::vector<ValueUse> uses) = 0;
  // The next use begins: returns when the values of the unit's parameters are here.
  virtual void gather(const std::string& unit) = 0;
  // The use is over: until the next fetch nobody reads the values.
  virtual void release(const std::string& unit) = 0;
};

}  // namespace troupe
