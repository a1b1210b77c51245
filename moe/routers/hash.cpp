// Hash layers (Roller et al. 2021, arXiv:2106.04426): the expert is a function of the token id, the
// weight is 1, nothing is learned. The table is kept in the checkpoint.
#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/device/operator.h"
#include "core/kernels/rows.h"
#include "core/tensor/host_memory.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/selection_bias.h"

namespace troupe {
namespace {

// Ids by falling count, each to the expert with the smallest total so far; ties to the lowest.
// counts: [vocab].
std::vector<int32_t> balanced_table(const std::vector<int64_t>& counts, int64_t experts) {
  std::vector<int32_t> ids(counts.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return counts[static_cast<size_t>(a)] > counts[static_cast<size_t>(b)];
  });
  std::vector<int64_t> total(static_cast<size_t>(experts), 0);
  std::vector<int64_t> ids_held(static_cast<size_t>(experts), 0);
  std::vector<int32_t> table(counts.size());
  for (const int32_t id : ids) {
    size_t best = 0;
    for (size_t e = 1; e < total.size(); ++e) {
      // Ids that never occur are spread by number.
      if (std::pair(total[e], ids_held[e]) < std::pair(total[best], ids_held[best])) best = e;
    }
    table[static_cast<size_t>(id)] = static_cast<int32_t>(best);
    total[best] += counts[static_cast<size_t>(id)];
    ++ids_held[best];
  }
  return table;
}

std::vector<int32_t> make_table(const Options& options, const RouterInputs& inputs) {
  require(inputs.vocab > 0, "a hash router needs the vocabulary's size");
  const std::string& kind = options.text("kind");
  if (kind == "balanced")
    return balanced_table(std::vector<int64_t>(static_cast<size_t>(inputs.vocab), 0),
                          inputs.experts);
  const Random random(static_cast<uint64_t>(options.integer("seed")), "router hash", inputs.name);
  std::vector<int32_t> table(static_cast<size_t>(inputs.vocab));
  for (size_t id = 0; id < table.size(); ++id) {
    const uint64_t expert = kind == "modulo"
                                ? id % static_cast<uint64_t>(inputs.experts)
                                : random.below(id, static_cast<uint64_t>(inputs.experts));
    table[id] = static_cast<int32_t>(expert);
  }
  return table;
}

class Hash final : public Router {
 public:
  Hash(const Options& options, const RouterInputs& inputs)
      : Router(inputs),
        name_(inputs.name),
        experts_(inputs.experts),
        balanced_(options.text("kind") == "balanced"),
        precision_(inputs.precision) {
    const std::vector<int32_t> table = make_table(options, inputs);
    table_ = Tensor::from(std::span<const int32_t>(table), Shape{inputs.vocab}, inputs.device);
  }

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.sparse() =
        replay != nullptr ? replayed(*replay, input.context, experts_) : look_up(input.context);
    out.sparse().weight =
        Tensor::full(Shape{out.sparse().pairs()}, precision_, 1.0, table_.device());
    return out;
  }

  int64_t choices() const override { return 1; }
  void read_corpus(const CorpusFacts& corpus) override {
    if (!balanced_) return;
    const std::vector<int64_t>& counts = corpus.token_counts();
    require(static_cast<int64_t>(counts.size()) == table_.dim(0),
            "counts of {} token ids, vocabulary of {}", counts.size(), table_.dim(0));
    const std::vector<int32_t> table = balanced_table(counts, experts_);
    table_ = Tensor::from(std::span<const int32_t>(table), table_.shape(), table_.device());
  }
  void state(State& state) override {
    state.tensors.push_back(replicated_state("router/" + name_ + ".table", table_));
  }

 private:
  SparseAssignment look_up(const TokenContext& context) const {
    const Operator op("router hash", table_.stream());
    const Tensor& ids = context.token_ids;
    kernels::check_ids(table_.stream(), ids.view(), table_.dim(0), name_ + ".table");
    const Tensor expert = Tensor::empty(ids.shape(), DType::i32, ids.device());
    kernels::take_entries(table_.stream(), table_.view(), ids.view(), expert.view());
    const auto chosen = host_copy<int32_t>(expert);
    SparseAssignment out = empty_assignment(experts_);
    for (int64_t t = 0; t < context.tokens(); ++t)
      out.append({chosen.data() + t, context.is_valid(t) ? size_t{1} : size_t{0}});
    return out;
  }

  std::string name_;
  int64_t experts_;
  bool balanced_;
  DType precision_;
  Tensor table_;  // i32 [vocab]
};

FieldList fields() {
  Field kind = make_field(
      "kind", FieldType::choice, std::string("random"),
      "token id to expert: a random table, id modulo experts, or a table that spreads the "
      "corpus's token counts evenly");
  kind.choices = {"random", "modulo", "balanced"};
  Field seed = make_field("seed", FieldType::integer, int64_t{0}, "seed of the random table");
  seed.minimum = 0;
  return {kind, seed};
}

}  // namespace

RouterDescriptor router_hash() {
  RouterDescriptor out;
  out.name = "hash";
  out.help = "the expert is a fixed function of the token id";
  out.fields = fields();
  out.make = [](const Options& options, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<Hash>(options, inputs);
  };
  out.choices = [](const Options&) { return int64_t{1}; };
  out.problem = [](const Options& options, int64_t) -> std::string {
    if (options.text("kind") != "random" && options.integer("seed") != 0)
      return "router.seed is only read by kind random";
    return "";
  };
  out.has_parameters = false;
  out.gives_probabilities = false;
  out.balance_problem = [](const std::string&, const Options&) {
    return std::string("a hash router has nothing to learn: no term has a gradient");
  };
  return out;
}

}  // namespace troupe
