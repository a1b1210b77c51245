#pragma once

namespace troupe {

// Cores that the affinity mask of this process allows; 1 if it cannot be read.
int usable_cores();

}  // namespace troupe
