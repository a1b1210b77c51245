// The loss over a vocabulary whose words are cut over the ranks of a tensor parallel region.
#pragma once

#include <functional>

#include "parallel/tp/region.h"

namespace troupe {

// Joins the log-sum-exps and target logits of the parts (see core/ops/linear_cross_entropy.h), in
// rank order, so that all ranks get the same bits. Empty in a group of one rank.
std::function<void(const Tensor& logsumexp, const Tensor& wanted)> join_vocabulary(
    const TensorRegion& region);

}  // namespace troupe
