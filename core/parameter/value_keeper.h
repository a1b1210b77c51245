// Where the values of parameters are spread over ranks, whoever keeps them brings a unit of the
// model (a block, the embedding, the head) together for the time of its use.
#pragma once

#include <string>
#include <vector>

namespace troupe {

class ValueKeeper {
 public:
  virtual ~ValueKeeper() = default;
  // The uses that come now, in their order, so that the next one can be on its way while this one
  // computes. Ends what was announced before: nothing is kept of it.
  virtual void announce(std::vector<std::string> units) = 0;
  // The next use begins: returns when the values of the unit's parameters are here.
  virtual void fetch(const std::string& unit) = 0;
  // It is over: until the next fetch nobody reads the values.
  virtual void release(const std::string& unit) = 0;
};

}  // namespace troupe
