// What a checkpoint holds, whatever files it is in and wherever they stand.
#pragma once

#include "parallel/checkpoint/checkpoint.h"

namespace troupe::checkpoint {

// Of all tensors and scalars. The configuration, which says where a run stood, is not in it; a
// copy, a merged one and one that another layout saved have the same.
Digest content_digest(const Info& info);

}  // namespace troupe::checkpoint
