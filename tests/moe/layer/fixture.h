// One MoE layer run over a whole batch on any layout, and what it gives, gathered.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "moe/layer/moe_layer.h"
#include "parallel/mesh/parallelism.h"

namespace troupe::testing {

struct LayerCase {
  MoELayerInputs inputs;
  TokenContext batch;                    // whole
  Tensor x;                              // [tokens, dim]
  Tensor seed;                           // gradient of y
  int64_t micro_batch = 2;               // sequences per micro-batch and rank
  bool forwards_first = false;           // of all micro-batches, before the first backward
  int starved = -1;                      // a rank that gets no sequences
  int steps = 1;                         // each: forward and backward of the batch, then after_step
  std::vector<SparseAssignment> replay;  // by sequence; empty = route
  std::vector<int32_t> permutation;      // expert e gets the weights of permutation[e]
};

// What the last step gave.
struct LayerRun {
  std::vector<double> y;                                 // [tokens, dim] of the whole batch
  std::vector<double> dx;                                // gradient of x
  std::map<std::string, std::vector<double>> gradients;  // whole, by logical name
  std::vector<double> losses;                            // by term, summed over the parts
  RouterStats stats;                                     // of the whole batch, rows of one rank
  int64_t rows = 0;                                      // computed by the experts of all ranks
  std::vector<SparseAssignment> assignments;             // by sequence
  std::map<std::string, std::vector<double>> state;      // after after_step
};

// 12 experts, dim 8, ffn 6, f64, the router's default options, no balance terms, dropless (expert
// choice: capacity factor 2).
LayerCase layer_case(const std::string& router, int64_t sequences = 12, int64_t seq_len = 6);

void set_option(LayerCase& given, const std::string& name, FieldValue value);
void set_capacity(LayerCase& given, double factor);

// On data ranks, groups of ep of them sharing the experts; or on any layout, where `starved` is a
// data rank.
LayerRun run_layer(const LayerCase& given, int ranks = 1, int ep = 1);
LayerRun run_layer(const LayerCase& given, const Parallelism& parallelism);

// Largest max|a - b| / max(max|a|, 1e-3 * RMS of all gradients) over y, dx and each gradient, and
// relative differences of losses and state.
double difference(const LayerRun& a, const LayerRun& b);

}  // namespace troupe::testing
