// The one report of a job.
#pragma once

#include "core/base/error.h"

namespace troupe {

// Thrown by the one rank that reports that another one does not answer, or that ranks wait for each
// other. The others leave the report
// to it, so it need not wait whether a lower rank speaks.
class RankReport : public Error {
 public:
  using Error::Error;
};

}  // namespace troupe
