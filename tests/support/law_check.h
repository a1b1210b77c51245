// What every test of a layout expects: the training of one rank.
#pragma once

#include <string>

#include "models/verify/layout_run.h"

namespace troupe::laws {

// Trains `law` on ranks as threads and compares everything that a layout must not change with the
// run on one rank, in f64: losses, norm and terms, gathered gradients and parameters within 1e-10,
// counts equal.
void expect_same_training(const LawResult& reference, const LawResult& result,
                          const std::string& what);
void expect_same_training(LayoutRun law, const LawResult& reference, const Parallelism& layout,
                          const std::string& what);

// On two data ranks with ep 2 zero 3 has the bits of zero 2: losses of steps, and between them the
// losses of tokens and the logits of generation.
void expect_bits_of_zero_2_between_steps(const EngineConfig& engine);

}  // namespace troupe::laws
