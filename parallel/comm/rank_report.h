// The one report of a job.
#pragma once

#include "core/base/error.h"

namespace troupe {

// Ranks that see that another one does not answer, or that their operations differ, agree on the
// one of them that reports it.
class RankReport : public Error {
 public:
  RankReport(const std::string& message, bool speaks)
      : Error(ExitCode::distributed, message), speaks_(speaks) {}
  // False on a rank that has left the report to another one.
  bool speaks() const { return speaks_; }

 private:
  bool speaks_;
};

}  // namespace troupe
