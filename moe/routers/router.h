// The contract of a router: hidden states and token ids in, an assignment of tokens to experts out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/field.h"
#include "core/nn/token_context.h"
#include "core/parameter/state.h"
#include "moe/dispatch/assignment.h"
#include "moe/dispatch/groups.h"
#include "moe/routers/corpus_facts.h"
#include "moe/routers/scored_choice.h"
#include "parallel/mesh/parameter_set.h"

namespace troupe {

// A micro-batch may be spread over ranks. Each projects the tokens that it holds; what is decided
// is decided on the whole micro-batch by all of them alike, so groups, capacity and balance terms
// never see the layout. Gradients of the whole flow back to the rank of each token.
struct RouterInput {
  Tensor x_TD;                  // hidden states of the tokens that this rank holds, compute type
  const TokenContext& context;  // of the whole micro-batch: ids, valid mask, keys of random draws
  const Groups* groups = nullptr;         // given to routers that need a capacity
  std::optional<double> capacity_factor;  // none = dropless
  std::span<const int32_t> held;          // tokens of the rows of x; empty = all, in order
  // [rows of x, n] -> [tokens of the micro-batch, n]; empty = x holds all.
  std::function<Tensor(const Tensor&)> gather;
  // The residual stream before the norm, rows as of x; only with RouterDescriptor::reads_residual.
  Tensor residual_TD;
  // Outputs of experts before the decision: of every pair of an assignment of the rows of x, [pairs
  // of all rows, dim], without gate weights, with their gradient. Costs what the experts cost.
  // Collective over ep and etp: every rank asks alike.
  std::function<Tensor(const SparseAssignment&)> outputs;

  int64_t token(int64_t row) const { return held.empty() ? row : held[static_cast<size_t>(row)]; }
};

// One of several decisions that a router takes one after the other: among `bins` groups of experts,
// then among the experts by their number within a group.
struct RoutingLevel {
  int64_t bins = 0;
  std::vector<int32_t> bin;  // [experts]
  Tensor logits_TB;
  Tensor probabilities_TB;
};

// The kinds of decision. Dense (two matrices of soft routers) and keyed (ids and scores of
// product-key retrieval) come with their first router: an alternative here, and what the compiler
// then misses in moe/layer/moe_layer.cpp, where each kind is carried out (Impl::carry_out): drops,
// balance terms and counts of sparse assignments are asked for there.
using RoutedAssignment = std::variant<SparseAssignment>;

// What one forward of a router gives, for the whole micro-batch. Tensors are in router precision
// and carry gradients.
struct Routing {
  RoutedAssignment assignment;  // before drops; weights inside
  Tensor logits_TE;             // without noise and bias; undefined for hash
  Tensor probabilities_TE;      // rows sum to 1; undefined for hash
  Tensor selection_TE;  // logits or scores compared in choosing, without bias; undefined for hash
  // Balance terms are taken on each level, and capacity is kept on each: tokens that find no room
  // in a group do not reach its experts. Outermost first, the last one within groups; empty = one
  // decision among all experts.
  std::vector<RoutingLevel> levels;
  // Chance that the expert is among the chosen under fresh noise; undefined without noise.
  Tensor load_TE;

  // For the router that makes it and its tests. Who is given a routing takes the assignment as an
  // argument instead, from where each kind is carried out.
  SparseAssignment& sparse() { return std::get<SparseAssignment>(assignment); }
  const SparseAssignment& sparse() const { return std::get<SparseAssignment>(assignment); }
};

// What a router is made from.
struct RouterInputs {
  int64_t experts = 0;
  int64_t dim = 0;
  std::string name;  // "layers.3.moe.router": parameters, state and random draws are keyed by it
  DType precision = DType::f32;  // f32 or f64
  double init_std = 0.02;
  uint64_t seed = 0;  // run.seed
  int64_t vocab = 0;
  std::shared_ptr<Device> device;
  std::shared_ptr<const ParameterSet> parameters;  // made from the descriptor's list

  Parameter& parameter(const std::string& suffix) const {
    return parameters->at(name + "." + suffix);
  }
};

class Router {
 public:
  explicit Router(const RouterInputs& inputs) : parameters_(inputs.parameters) {}
  virtual ~Router() = default;
  // Routes the tokens; padding gets no expert. A pure function of its input and the router's state:
  // called twice it gives the same answer and counts nothing. replay: take these experts instead of
  // choosing; weights and probabilities are computed as ever.
  virtual Routing route(const RouterInput& input, const SparseAssignment* replay) = 0;
  // k of the capacity rule and of load fractions; 0 when experts choose.
  virtual int64_t choices() const = 0;
  virtual bool first_choices_first() const { return false; }
  // True when the assignment already respects the capacity (expert choice).
  virtual bool limits_itself() const { return false; }
  // Once before the first step of a run, for routers that depend on the corpus; what they make of
  // it is part of their state. Without it (estimates, benchmarks) they take it for even.
  virtual void read_corpus(const CorpusFacts& corpus) { (void)corpus; }
  // Once per optimizer step, with the whole batch's counts before drops.
  virtual void after_step(std::span<const int64_t> selected) { (void)selected; }
  // Those of the descriptor's list, in its order.
  void parameters(const std::function<void(Parameter&)>& visit) const {
    if (parameters_) parameters_->visit(visit);
  }
  // Appends what a checkpoint must keep besides parameters.
  virtual void state(State& state) { (void)state; }

 private:
  std::shared_ptr<const ParameterSet> parameters_;
};

// What a router keeps of T tokens for backward, for estimates of memory.
struct RouterMemory {
  int64_t columns = 0;       // of tables [T, columns] in router precision
  int64_t input_copies = 0;  // of its input in router precision; 0 = the input as it is
};

// A bias on the scores that choose, which the router moves against the load after each step.
struct LoadBias {
  std::string option;       // that says its rate
  double rate = 0.0;        // 0 = off
  double mean_score = 1.0;  // of what it is added to
};

// An option without effect beside the others.
struct UnreadOption {
  std::string option;
  std::string reason;
};

// All that is known of a router outside its file: who needs to know more asks for a member here.
struct RouterDescriptor {
  std::string name;  // as in YAML
  std::string help;
  FieldList fields;
  std::unique_ptr<Router> (*make)(const Options& options, const RouterInputs& inputs) = nullptr;
  // Experts per token (0: experts choose, capacity_factor on average).
  int64_t (*choices)(const Options& options) = nullptr;
  std::string choices_option;  // the option that says how many, if one does
  // Consecutive experts form so many groups of one size, and a token's experts lie in one of them;
  // null = one group.
  int64_t (*groups)(const Options& options) = nullptr;
  // Options that do not fit together or to the number of experts, in words; empty when sound.
  std::string (*problem)(const Options& options, int64_t experts) = nullptr;
  // Null = all are read.
  std::vector<UnreadOption> (*unread)(const Options& options) = nullptr;
  // What is legal and yet costs its user a day, in words. balanced: the load is pushed towards
  // even, by a loss or by load_bias. Null = nothing.
  std::vector<std::string> (*warnings)(const Options& options, bool balanced) = nullptr;
  bool needs_capacity = false;    // capacity_factor none is refused
  bool uses_min_capacity = true;  // min_capacity and priority are read
  bool has_parameters = true;     // hash has none
  bool reads_residual = false;    // RouterInput::residual_TD
  // Load fractions of balance terms count a token's first choice only instead of all k of them:
  // first choices are then counted apart.
  bool balance_by_first_choice = false;
  // What Routing tells: without them no statistic of theirs is kept, summed or shown.
  bool gives_probabilities = true;
  bool (*gives_load)(const Options& options) = nullptr;  // null = no
  // Its parameters, NAME.suffix each; of the inputs sizes, name and precision are read. Null =
  // "weight" with a row for each expert, if it has parameters (see router_parameters in table.h).
  std::vector<ParameterSpec> (*parameters)(const Options& options,
                                           const RouterInputs& inputs) = nullptr;
  // Null: for each row of its matrices a score, a probability, and what each balance term reads.
  RouterMemory (*memory)(const Options& options, int64_t experts, int64_t balance_terms) = nullptr;
  LoadBias (*load_bias)(const Options& options, int64_t experts) = nullptr;  // null = has none
  // Where a choice after the first is left out by a draw: what the draw is held against, from the
  // scores (Routing::selection_TE) of the first one and of this one. Null = all choices are kept.
  double (*drawn_against)(double first_score, double score) = nullptr;
  // Balance terms ("switch", "z", "importance", "load") that give no gradient here, with the
  // reason.
  std::string (*balance_problem)(const std::string& term, const Options& options) = nullptr;
  std::string balance_option;  // that balance_problem reads, if it reads one
  // What other programs can say of it: its choice where it is just that, and the options that make
  // one. Null = it is something else.
  std::optional<ScoredChoice> (*scored_choice)(const Options& options) = nullptr;
  Options (*options_of)(const ScoredChoice& choice) = nullptr;
};

}  // namespace troupe
