// Batches and layers for tests of the mixture of experts.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/nn/token_context.h"

namespace troupe::testing {

// A whole batch of `sequences` sequences in one micro-batch, in training; token ids are a pure
// function of the position.
TokenContext whole_batch(int64_t sequences, int64_t seq_len, int64_t vocab = 32);

// Sequences [first, first + count) of a batch made by whole_batch, with padding if it has any.
TokenContext part_of(const TokenContext& batch, int64_t first, int64_t count);

// Marks tokens as padding; global_tokens follows.
void pad(TokenContext& batch, const std::vector<int64_t>& tokens);

// Rows [begin, end) of x, as a tensor of its own, on x's device or another one: ranks that are
// threads must not compute on one device.
Tensor rows_of(const Tensor& x, int64_t begin, int64_t end,
               const std::shared_ptr<Device>& device = nullptr);

}  // namespace troupe::testing
