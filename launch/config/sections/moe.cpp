// Keys of moe.
#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"
#include "launch/config/variants.h"

namespace troupe {
namespace {

// The only router, or that of the list which the path names.
RouterConfig& router_at(RunConfig& config, const std::string& path) {
  const bool listed = path.find('[') != std::string::npos;
  return listed ? element_of(config.moe.routers, path) : config.moe.router;
}

const EnumNames<BalanceScope>& scope_names() {
  static const EnumNames<BalanceScope> names{
      {"sequence", BalanceScope::sequence},
      {"microbatch", BalanceScope::microbatch},
      {"global_batch", BalanceScope::global_batch},
      {"global_batch_exact", BalanceScope::global_batch_exact}};
  return names;
}

void add_router(std::vector<Key>& keys, const std::string& prefix) {
  const std::vector<Variant> variants = router_variants();
  keys.push_back(choice_key(prefix + ".type", names(variants), MoEConfig{}.router.c_str(),
                            "How tokens find their experts; each type has options of its own.")
                     .store(type_of(variants, [](RunConfig& c, const std::string& path) {
                       RouterConfig& router = router_at(c, path);
                       return Chosen{&router.type, &router.options};
                     })));
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      keys.push_back(key_of_field(prefix, variant.name, field,
                                  [](RunConfig& c, const std::string& path) -> Options& {
                                    return router_at(c, path).options;
                                  }));
    }
  }
}

}  // namespace

std::vector<Key> moe_keys() {
  std::vector<Key> keys{
      KeyMaker("moe", FieldType::choice, "none = no experts: every layer is dense.")
          .words({"none"})
          .word("none")
          .also("a section of keys"),
      KeyMaker("moe.layers", FieldType::integer_list,
               "Numbers of the layers with experts, from 0, instead of the rule.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            put(value, c.moe.layers.emplace());
          })
          .also("a mapping {every, first_dense}")
          .from(0)
          .to(4095),
      integer_key("moe.layers.every",
                  "Every n-th layer after the first dense ones has experts: with first_dense d "
                  "these are the layers d + n - 1, d + 2n - 1, ...")
          .into([](RunConfig & c) -> auto& { return c.moe.every; })
          .value(int64_t{1})
          .from(1)
          .to(4096),
      integer_key("moe.layers.first_dense", "This many first layers stay dense.")
          .into([](RunConfig & c) -> auto& { return c.moe.first_dense; })
          .value(int64_t{0})
          .from(0)
          .to(4096),
      integer_key("moe.experts", "Experts of each layer.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.experts; })
          .value(int64_t{8})
          .from(1)
          .to(65536),
      integer_key("moe.ffn_dim", "Hidden width of one expert. auto = model.ffn_dim.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.ffn_dim; })
          .resolves("auto", [](const RunConfig& c, int) { return FieldValue(c.model.ffn_dim); })
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 22),
  };
  add_router(keys, "moe.router");
  keys.push_back(
      KeyMaker("moe.router[].layers", FieldType::integer_list,
               "Layers that this router serves; together the entries must cover each "
               "layer with experts exactly once.")
          .into(
              [](RunConfig & c) -> auto& { return c.moe.routers; }, &RouterConfig::layers)
          .required()
          .from(0)
          .to(4095));
  add_router(keys, "moe.router[]");
  const std::vector<Key> rest{
      real_key("moe.capacity_factor",
               "Tokens that one expert takes, as a multiple of an even share: max(min_capacity, "
               "ceil(k x tokens of the group x factor / experts)). none = dropless.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.capacity_factor; })
          .keeps("none")
          .words({"none"})
          .word("none")
          .above(0)
          .to(1e6),
      real_key("moe.capacity_factor_eval",
               "The capacity factor in evaluation. same = as in training. Generation is dropless.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.capacity_factor_eval; })
          .keeps("none")
          .resolves("same", [](const RunConfig& c,
                               int) { return c.values.find("moe.capacity_factor")->value; })
          .words({"same", "none"})
          .word("same")
          .above(0)
          .to(1e6),
      integer_key("moe.min_capacity", "Least capacity of an expert.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.min_capacity; })
          .value(int64_t{4})
          .from(1)
          .to(1 << 24)
          .unit("tokens"),
      enum_key(
          "moe.priority",
          EnumNames<Priority>{{"position", Priority::position}, {"gate", Priority::gate}},
          "Who is served first when an expert is full: earlier tokens, or higher gate "
          "weights.",
          [](RunConfig & c) -> auto& { return c.moe.common.priority; })
          .word("position"),
      integer_key(
          "moe.group",
          "Tokens that compete for capacity: sequence = each sequence for itself; a number "
          "= so many consecutive tokens; a mapping {across: batch, sequences: S} = the same "
          "position of S consecutive sequences.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            c.moe.common.group = {GroupRule::Kind::tokens, std::get<int64_t>(value), 0};
          })
          .keeps("sequence")
          .words({"sequence"})
          .word("sequence")
          .also("{across: batch, sequences: S}")
          .from(1)
          .to(1 << 30),
      KeyMaker("moe.group.across", FieldType::choice, "Group the same position of sequences.")
          .choices({"batch"})
          .required(),
      integer_key("moe.group.sequences", "Consecutive sequences of such a group.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            c.moe.common.group = {GroupRule::Kind::across_batch, 0, std::get<int64_t>(value)};
          })
          .required()
          .from(1)
          .to(1 << 24),
      integer_key("moe.shared_experts", "Experts that every token uses besides the chosen ones.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.shared_experts; })
          .value(int64_t{0})
          .from(0)
          .to(1024),
      integer_key("moe.shared_ffn_dim", "Hidden width of one shared expert. auto = moe.ffn_dim.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.shared_ffn_dim; })
          .resolves("auto",
                    [](const RunConfig& c, int) { return FieldValue(c.moe.common.ffn_dim); })
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 22),
      KeyMaker("moe.balance", FieldType::choice,
               "Loss terms that keep the experts evenly loaded: a list of {type, coef, scope}, or "
               "none. With several routers a term acts on the layers where it has a gradient.")
          .also("a list of {type, coef, scope}")
          .words({"none"})
          .word("none"),
      KeyMaker("moe.balance[].type", FieldType::choice,
               "switch: fraction of tokens times mean probability; z: squared log-sum-exp of the "
               "logits; importance: variation of the summed probabilities; load: variation of the "
               "smooth load (needs noise: learned).")
          .into(
              [](RunConfig & c) -> auto& { return c.moe.common.balance; }, &BalanceTerm::type)
          .choices({"switch", "z", "importance", "load"})
          .required(),
      real_key("moe.balance[].coef", "Weight of the term in the loss; 0 turns it off.")
          .into(
              [](RunConfig & c) -> auto& { return c.moe.common.balance; }, &BalanceTerm::coef)
          .required()
          .from(0)
          .to(1e6),
      choice_key("moe.balance[].scope", words_of(scope_names()), "sequence",
                 "Tokens over which fractions are taken: each sequence, blocks of micro_batch "
                 "sequences, or the whole batch (with the previous step's fractions; exact = with "
                 "its own, where every forward precedes the first backward: one micro-batch, or "
                 "schedule gpipe).")
          .store([](RunConfig& c, const std::string& path, const FieldValue& value) {
            element_of(c.moe.common.balance, path).scope =
                value_in(scope_names(), std::get<std::string>(value));
          }),
      choice_key("moe.router_precision", {"auto", "f32", "f64"}, "auto",
                 "Precision of the router. auto = the wider of f32 and the compute type.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            const auto& name = std::get<std::string>(value);
            if (name == "auto") return;
            c.moe.router_precision = name == "f64" ? DType::f64 : DType::f32;
          }),
      integer_key("moe.overlap",
                  "Chunks of a rank's experts: while one is computed, the rows of others travel. "
                  "More than there are experts on a rank counts as one each; with ep 1 nothing "
                  "travels. The result is the same for every number.")
          .into([](RunConfig & c) -> auto& { return c.moe.common.overlap; })
          .value(int64_t{1})
          .from(1)
          .to(1e6),
  };
  keys.insert(keys.end(), rest.begin(), rest.end());
  return keys;
}

}  // namespace troupe
