// Pipeline schedules as data. The layers of the model are cut into stages x chunks pieces; the
// piece at virtual stage c * stages + s is chunk c of stage s, so a value walks through all stages
// once per chunk. What a stage does in a step is a list made by a pure function: nothing is
// negotiated.
//
//   gpipe        all forwards, then all backwards
//   1f1b         a backward as soon as there is one: few micro-batches in flight
//   interleaved  the same with several chunks per stage: the bubble shrinks by their number
//   zero_bubble  the gradients of inputs first, those of weights where a stage would wait
//
// In all of them every chunk meets the micro-batches in rising order, so that sums of gradients
// have the same bits.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/mesh/parallelism.h"

namespace troupe {

// Chunks per stage of a layout; one stage is one chunk, whatever virtual_stages says.
int chunks_per_stage(const Parallelism& parallelism);

// Of the pieces that a model is cut into: the one with the last norm, the head and the loss.
inline bool is_last_piece(int virtual_stage, int virtual_stages) {
  return virtual_stage + 1 == virtual_stages;
}
// The stage that holds it.
inline bool holds_last_piece(int stage, int stages) { return stage + 1 == stages; }

struct Pipeline {
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int stages = 1;
  int chunks = 1;  // per stage; more than one only with interleaved
  int64_t micro_batches = 1;
  Pipeline() = default;
  // Of a layout.
  Pipeline(const Parallelism& parallelism, int64_t micro_batches);
  Pipeline(PipelineSchedule kind, int stages, int chunks, int64_t micro_batches);

  int virtual_stage_count() const { return stages * chunks; }
  int virtual_stage(int stage, int chunk) const { return chunk * stages + stage; }
  bool is_last(int virtual_stage) const {
    return is_last_piece(virtual_stage, virtual_stage_count());
  }
  int next_stage(int stage) const { return (stage + 1) % stages; }
  int previous_stage(int stage) const { return (stage + stages - 1) % stages; }
};

enum class PipelineAction : uint8_t {
  forward,
  backward,         // both halves
  input_gradient,   // the half that the stage before waits for
  weight_gradient,  // the other half
  send_value,       // of the chunk, to the place after it
  receive_value,    // of the place before, for the chunk
  send_gradient,    // of the chunk's input, to the place before it
  receive_gradient  // of the chunk's value, from the place after it
};

struct PipelineStep {
  PipelineAction action;
  int chunk;
  int64_t micro_batch;
  bool operator==(const PipelineStep& other) const = default;
};

// What `stage` does in one step of training, in order. A receive stands right before the step that
// needs it, a send right after the step that made it. Throws Error(usage) where the schedule does
// not fit: interleaved with several chunks needs a multiple of `stages` micro-batches.
std::vector<PipelineStep> pipeline_steps(const Pipeline& pipeline, int stage);

// Is every micro-batch finished before the next begins? Then gradients may be summed after each.
bool is_sequential(const Pipeline& pipeline);

// How many forwards of a chunk at most wait on `stage` for their last gradient.
int64_t promised_in_flight(const Pipeline& pipeline, int stage);

// Seconds (or any unit) of one chunk and one micro-batch.
struct ChunkTime {
  double forward = 1;
  double input_gradient = 1;
  double weight_gradient = 1;
  double all() const { return forward + input_gradient + weight_gradient; }
};

// How long every stage waits in a step when all chunks take this time and messages none. For
// zero_bubble the three times must be equal.
double bubble_time(const Pipeline& pipeline, const ChunkTime& time);
// The same as a share of the whole step.
double bubble_share(const Pipeline& pipeline, const ChunkTime& time);

// Layers [begin, end) of a virtual stage: as equal as can be, the first ones take
// what is over.
struct LayerRange {
  int64_t begin = 0;
  int64_t end = 0;
};
LayerRange layers_of_virtual_stage(int64_t layers, int virtual_stages, int virtual_stage);

}  // namespace troupe
