#include "core/base/usable_cores.h"

#include <sched.h>

#include <algorithm>

namespace troupe {

int usable_cores() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  return std::max(CPU_COUNT(&mask), 1);
}

}  // namespace troupe
