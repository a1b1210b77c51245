#include <algorithm>
#include <map>

#include "core/kernels/cpu/product.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/linear_cross_entropy.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/optim/optimizer.h"
#include "models/cost/estimate.h"
#include "models/cost/value_memory.h"
#include "models/families/lookup/configured_model.h"
#include "models/parts/bytes.h"
#include "parallel/dp/ownership.h"
#include "parallel/pp/pipeline_schedule.h"

namespace troupe {
namespace {

// What the products themselves take for each thread. It counts where the model is small.
int64_t product_memory(const ModelConfig& model) {
  kernels::cpu::ProductShape shape;
  shape.m = kernels::kRowBlock;
  shape.n = model.dim;
  shape.k = std::max({model.dim, model.heads * model.head_dim, model.ffn_dim});
  for (const auto& moe : model.moe) {
    if (moe) shape.k = std::max(shape.k, moe->ffn_dim);
  }
  shape.in = shape.out = model.compute;
  return allocated(kernels::cpu::product_workspace(shape));
}

// The output projection with the loss: gradients of its input and of the head, the operands of one
// chunk of tokens, and per thread the exponentials of a block of tokens.
struct HeadMemory {
  int64_t tensors = 0;
  int64_t scratch = 0;  // stays with the threads
};

// vocab: words of this rank.
HeadMemory head_memory(const ModelConfig& model, int64_t vocab, int64_t tokens, int threads) {
  const int64_t c = bytes_of(model.compute);
  const int64_t w = bytes_of(wide(model.compute));
  const int64_t chunk = std::min(tokens, cross_entropy_chunk(vocab, model.compute));
  const int64_t filled = kernels::padded_rows(chunk);
  const int64_t step = std::min(chunk, kernels::cross_entropy_block(chunk));
  HeadMemory memory;
  memory.tensors = 3 * allocated(tokens * model.dim * c) + 2 * allocated(tokens * w) +
                   allocated(vocab * model.dim * w) + allocated(vocab * filled * c) +
                   allocated(filled * model.dim * c);
  const int64_t busy = std::min<int64_t>(threads, (chunk + step - 1) / step);
  memory.scratch =
      busy * allocated(kernels::cross_entropy_scratch(step, vocab, model.dim, model.compute));
  return memory;
}

int64_t moments(const CostInputs& config) {
  return optimizer_moments(config.optimizer, config.optimizer_options);
}

// What the last rank of a stage holds of values, gradients and moments; blocks of the allocator, in
// bytes.
struct StateMemory {
  int64_t whole = 0;   // of all its parameters
  int64_t owned = 0;   // of the elements that it owns under zero
  int64_t bucket = 0;  // of the largest bucket of gradients
  // Of the largest one that travels while backward goes on: not the last one of its group.
  int64_t travelling = 0;
  // Its share of the writing of a checkpoint: of values, and of moments that it owns.
  int64_t saved_values = 0;
  int64_t saved_owned = 0;
};

// How many ranks sum a gradient.
int64_t group_size(const Layout& layout, const MeshShape& mesh) {
  int64_t size = 1;
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<Axis>(i);
    if (layout.gradient_partial[static_cast<size_t>(i)]) size *= mesh[axis];
  }
  return size;
}

StateMemory state_memory(const CostInputs& config, int stage) {
  const MeshShape& mesh = config.parallel.shape;
  const int rank = (stage + 1) * (mesh.world() / mesh[Axis::pp]) - 1;
  StateMemory memory;
  std::vector<GradientItem> items;
  for (const ParameterSpec& parameter : model_parameters(config.model, config.parallel, stage)) {
    items.push_back(
        {parameter.layout, local_elements(parameter, mesh, rank), wide(parameter.compute)});
  }
  const std::vector<FlatRange> owned = owned_ranges(items, mesh, rank);
  for (size_t i = 0; i < items.size(); ++i) {
    memory.whole += allocated(items[i].elements * bytes_of(items[i].dtype));
    memory.owned += allocated(owned[i].count * bytes_of(items[i].dtype));
    const int64_t copies = shared_gradient(items[i].layout, mesh, coordinates(mesh, rank)).copies;
    const int64_t group = group_size(items[i].layout, mesh);
    memory.saved_values += items[i].elements * bytes_of(items[i].dtype) / (group * copies);
    memory.saved_owned += owned[i].count * bytes_of(items[i].dtype) / copies;
  }
  std::map<std::array<bool, kAxes>, int64_t> last;  // by the axes of the sum
  for (const Bucket& bucket : plan_buckets(items, mesh)) {
    const int64_t bytes = allocated(bucket.elements * bytes_of(bucket.dtype));
    memory.bucket = std::max(memory.bucket, bytes);
    int64_t& before = last[items[bucket.parameters[0]].layout.gradient_partial];
    memory.travelling = std::max(memory.travelling, before);
    before = bytes;
  }
  return memory;
}

// The worst moment of a stage's step.
struct WorstMoment {
  int64_t kept = 0;      // for backward, of all micro-batches in flight
  int64_t now = 0;       // of what runs
  bool in_head = false;  // that is the loss, or else a backward
  int64_t peak() const { return kept + now; }
};

// What a chunk keeps of one micro-batch.
struct ChunkMemory {
  int64_t saved = 0;
  int64_t deferred = 0;
};

// Walks through the steps of the stage. backward: of a block, beside all that is kept.
WorstMoment worst_moment(const Pipeline& pipeline, int stage,
                         const std::vector<ChunkMemory>& chunks, int64_t head, int64_t backward) {
  WorstMoment worst;
  WorstMoment at;
  for (const PipelineStep& step : pipeline_steps(pipeline, stage)) {
    const ChunkMemory& chunk = chunks[static_cast<size_t>(step.chunk)];
    const bool last = pipeline.is_last(pipeline.virtual_stage(stage, step.chunk));
    at.now = 0;
    at.in_head = false;
    switch (step.action) {
      case PipelineAction::forward:
        at.kept += chunk.saved;
        at.in_head = last;
        at.now = last ? head : 0;
        break;
      case PipelineAction::input_gradient:
        at.kept += chunk.deferred;
        at.now = backward;
        break;
      case PipelineAction::backward:
        at.now = backward;
        break;
      default:
        break;
    }
    if (at.peak() > worst.peak()) worst = at;
    if (step.action == PipelineAction::backward) at.kept -= chunk.saved;
    if (step.action == PipelineAction::weight_gradient) at.kept -= chunk.saved + chunk.deferred;
  }
  return worst;
}

MemoryContext memory_context(const CostInputs& config) {
  return {config.parallel, config.micro_batch, config.model.seq_len, config.model.compute};
}

// The blocks of a stage.
struct StageBlocks {
  std::vector<ChunkMemory> chunks;
  PartMemory worst;      // the most of each kind that one block needs
  int64_t released = 0;  // the most that a block in backward takes beyond its chunk's saved bytes
};

StageBlocks stage_blocks(const CostInputs& config, const Pipeline& pipeline, int stage) {
  const ModelConfig& model = config.model;
  const MemoryContext context = memory_context(config);
  const std::vector<PartMemory> blocks = block_memory(model, context);
  const int64_t row = context.stream(model.dim);
  StageBlocks out;
  PartMemory& worst = out.worst;
  for (int chunk = 0; chunk < pipeline.chunks; ++chunk) {
    const int place = pipeline.virtual_stage(stage, chunk);
    const LayerRange layers =
        layers_of_virtual_stage(model.layers, pipeline.virtual_stage_count(), place);
    // Besides the blocks a chunk keeps the value that it has sent on.
    ChunkMemory all{pipeline.is_last(place) ? 0 : row, 0};
    int64_t most = 0;  // while one block goes backward: those after it have given theirs back
    for (int64_t layer = layers.begin; layer < layers.end; ++layer) {
      const PartMemory& memory = blocks[static_cast<size_t>(layer)];
      all.saved += model.recompute ? row : memory.saved;
      const int64_t again = model.recompute ? memory.saved : 0;
      most = std::max(most, all.saved + again + memory.backward);
      all.deferred += memory.deferred;
      worst.backward = std::max(worst.backward, again + memory.backward);
      worst.exchanged = std::max(worst.exchanged, memory.exchanged);
      worst.scratch = std::max(worst.scratch, memory.scratch);
      worst.tables = std::max(worst.tables, memory.tables);
    }
    out.released = std::max(out.released, most - all.saved);
    out.chunks.push_back(all);
  }
  return out;
}

MemoryEstimate estimate_stage(const CostInputs& config, int threads, int stage) {
  const ModelConfig& model = config.model;
  const MeshShape& mesh = config.parallel.shape;
  const int zero = config.parallel.zero;
  const StateMemory state = state_memory(config, stage);
  const ValueMemory values = value_memory(config, stage);
  const int64_t tokens = config.micro_batch * model.seq_len / mesh[Axis::cp];
  const int64_t vocab = (model.vocab + mesh[Axis::tp] - 1) / mesh[Axis::tp];
  const Pipeline pipeline(
      config.parallel,
      std::max<int64_t>(1, config.global_batch / (mesh[Axis::dp] * config.micro_batch)));
  const int64_t row = memory_context(config).stream(model.dim);
  const auto [chunks, worst, released] = stage_blocks(config, pipeline, stage);
  const bool last = holds_last_piece(stage, pipeline.stages);
  const HeadMemory head = last ? head_memory(model, vocab, tokens, threads) : HeadMemory();
  // Zero bubble keeps what the gradients of weights need until all of the chunk went backward.
  const bool kept = config.parallel.schedule == PipelineSchedule::zero_bubble;
  const int64_t in_backward = (kept ? worst.backward : released) + 2 * row;
  const WorstMoment moment = worst_moment(pipeline, stage, chunks, head.tensors + values.in_loss,
                                          in_backward + worst.exchanged + values.in_block);
  const int64_t tables = worst.tables + tokens * 16;

  MemoryEstimate estimate;
  const auto add = [&](const char* name, MemoryKind kind, int64_t bytes) {
    if (bytes == 0) return;
    estimate.parts.push_back({name, kind, bytes});
    estimate.total_bytes += bytes;
  };
  add("main weights", MemoryKind::parameter, values.kept);
  add("forms for products", MemoryKind::parameter, values.forms);
  // With zero 2 only the bucket that grows is there besides; the head's when its values are gone.
  const int64_t bucket =
      moment.in_head ? std::max<int64_t>(state.bucket - values.in_loss, 0) : state.bucket;
  add("gradients", MemoryKind::gradient, zero >= 2 ? state.owned + bucket : state.whole);
  add("optimizer moments", MemoryKind::optimizer,
      moments(config) * (zero >= 1 ? state.owned : state.whole));
  if (config.copies_state) {
    const int64_t saved_moments = zero >= 1 ? state.saved_owned : state.saved_values;
    add("copy for a checkpoint", MemoryKind::checkpoint,
        allocated(state.saved_values + moments(config) * saved_moments));
  }
  add("kept for backward", MemoryKind::activation, moment.kept + tables);
  // One value and one gradient that come while the stage computes.
  if (pipeline.stages > 1) add("values between stages", MemoryKind::activation, 2 * row);
  add("scratch of threads", MemoryKind::activation,
      std::max(head.scratch, threads * worst.scratch) + threads * product_memory(model));
  add("gathered weights", MemoryKind::parameter, moment.in_head ? values.in_loss : values.in_block);
  if (moment.in_head) {
    add("output projection and loss", MemoryKind::activation, head.tensors);
  } else {
    add("backward of one block", MemoryKind::activation, in_backward);
    add("rows on their way", MemoryKind::communication, worst.exchanged);
    // What comes from the other ranks for the own piece of a bucket is as much as the bucket.
    if (zero >= 1) add("gradients on their way", MemoryKind::communication, state.travelling);
  }
  return estimate;
}

}  // namespace

int64_t MemoryEstimate::of(MemoryKind kind) const {
  int64_t bytes = 0;
  for (const MemoryPart& part : parts) bytes += part.kind == kind ? part.bytes : 0;
  return bytes;
}

// The worst moment of a rank is one of two: the loss, when every block's values are kept and the
// head's gradient is made; or the backward of a feed-forward, when all of them are still kept, too.
// With recompute blocks keep only their input, and one block at a time the rest.
MemoryEstimate estimate_memory(const CostInputs& config, int threads) {
  MemoryEstimate heaviest;
  for (int stage = 0; stage < config.parallel.shape[Axis::pp]; ++stage) {
    MemoryEstimate estimate = estimate_stage(config, threads, stage);
    if (estimate.total_bytes > heaviest.total_bytes) heaviest = std::move(estimate);
  }
  return heaviest;
}

}  // namespace troupe
