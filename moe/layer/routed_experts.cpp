#include "moe/layer/routed_experts.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/autograd/tape.h"
#include "core/device/operator.h"
#include "core/ops/view.h"
#include "moe/dispatch/chunk_moves.h"

namespace troupe {
namespace {

using Chunks = std::vector<DispatchChunk>;

Tensor flat(const Tensor& column) { return reshape(column, {column.dim(0)}); }

// What one forward leaves for backward.
struct Run {
  std::shared_ptr<const DispatchPlan> plan;
  ExpertGroups groups;
  std::string site;
  Experts& experts;
  PhaseClock* clock;
  std::vector<std::unique_ptr<ExpertsPart>> parts;

  MoveSites out(const char* what, const char* suffix = "") const {
    return {site + what + suffix, site + what + " to parts" + suffix};
  }
  MoveSites back(const char* what, const char* etp, const char* suffix = "") const {
    return {site + what + suffix, site + etp + suffix};
  }
};

// Brings the chunks' rows one after the other, the next one on its way while use(chunk, rows) runs.
template <typename Use>
void bring_each(const Run& run, const Tensor& rows_SD, const MoveSites& sites, Use&& use) {
  const Chunks& chunks = run.plan->chunks;
  std::optional<MovingRows> moving(start_out(rows_SD, chunks[0], run.groups, sites));
  for (size_t c = 0; c < chunks.size(); ++c) {
    std::optional<MovingRows> next;
    if (c + 1 < chunks.size()) next.emplace(start_out(rows_SD, chunks[c + 1], run.groups, sites));
    use(c, finish_out(std::move(*moving), chunks[c], run.groups, sites, run.clock));
    moving = std::move(next);
  }
}

Tensor forward(Run& run, const Tensor& x_SD, const Tensor& weight_S1) {
  const Chunks& chunks = run.plan->chunks;
  const MoveSites weight_sites = run.out(" gate weights");
  std::vector<MovingRows> weights;
  for (const DispatchChunk& chunk : chunks)
    weights.push_back(start_out(weight_S1, chunk, run.groups, weight_sites));
  ReturningRows returning(x_SD, run.groups);
  bring_each(run, x_SD, run.out(" dispatch"), [&](size_t c, const Tensor& x_RD) {
    const Tensor w =
        finish_out(std::move(weights[c]), chunks[c], run.groups, weight_sites, run.clock);
    run.parts.push_back(
        run.experts.part(chunks[c].first_slot, chunks[c].slots, chunks[c].expert_rows));
    const Tensor y_RD = run.parts.back()->forward(x_RD, flat(w), grad_enabled());
    returning.add(y_RD, chunks[c], run.back(" combine", " combine of parts"), run.clock);
  });
  return returning.wait(run.clock);
}

// Of the rows and of their gate weights.
std::pair<Tensor, Tensor> input_gradient(Run& run, const Tensor& dy_SD, const Tensor& weight_S1) {
  const Chunks& chunks = run.plan->chunks;
  const MoveSites out{run.site + " combine gradient", run.site + " combine of parts gradient"};
  ReturningRows dx_SD(dy_SD, run.groups);
  ReturningRows dw_S1(weight_S1, run.groups);
  bring_each(run, dy_SD, out, [&](size_t c, const Tensor& dy_RD) {
    const auto [dx, dw] = run.parts[c]->gradient(dy_RD);
    dx_SD.add(dx, chunks[c], run.back(" dispatch", " dispatch to parts", " gradient"), run.clock);
    dw_S1.add(reshape(dw, {dw.dim(0), 1}), chunks[c],
              run.back(" gate weights", " gate weights to parts", " gradient"), run.clock);
  });
  return {dx_SD.wait(run.clock), dw_S1.wait(run.clock)};
}

void weight_gradients(Run& run) {
  const std::vector<Parameter*> weights = run.experts.weights();
  for (size_t i = 0; i < weights.size(); ++i) {
    bool fresh = false;
    const Tensor& target = weights[i]->begin_accumulate(fresh);
    for (const auto& part : run.parts) part->add_gradient(i, target, fresh);
    weights[i]->end_accumulate();
  }
}

}  // namespace

Tensor routed_experts(const PermutedRows& leaving, const Dispatcher& dispatcher, Experts& experts,
                      PhaseClock* clock) {
  const Operator op("routed_experts", leaving.x_SD.stream());
  auto run = std::make_shared<Run>(
      Run{leaving.plan, dispatcher.groups(), dispatcher.site(), experts, clock, {}});
  for (Parameter* weight : experts.weights()) weight->use();
  const Tensor x = leaving.x_SD;
  const Tensor weight = leaving.weight_S1;
  Tensor home = forward(*run, x.detach(), weight.detach());
  return record(
      op, std::move(home), {x, weight},
      [run, weight = weight.detach()](const Tensor& dy, InputGradients& inputs) {
        const auto [dx, dw] = input_gradient(*run, contiguous(dy), weight);
        if (inputs.needs(0)) inputs.add(0, dx);
        if (inputs.needs(1)) inputs.add(1, dw);
      },
      [run](const Tensor&) { weight_gradients(*run); });
}

}  // namespace troupe
