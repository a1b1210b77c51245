// Keys of run, model and moe.
#include <fmt/core.h>

#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"
#include "launch/config/variants.h"
#include "models/families/table.h"
#include "moe/layer/moe_config.h"

namespace troupe {

std::vector<Key> run_keys() {
  return {
      KeyMaker("run.name", ValueKind::text, "Name of the run, shown in banners and reports.")
          .words({"auto"})
          .word("auto")
          .may_change(),
      KeyMaker("run.dir", ValueKind::run_path,
               "Directory of everything that the run leaves; auto = runs/ and the run's name.")
          .words({"auto"})
          .word("auto")
          .may_change(),
      integer_key("run.seed", "Seed of initial values, data order and every other random draw.")
          .value(int64_t{1234})
          .from(0),
  };
}

std::vector<Key> model_keys() {
  const std::vector<Variant> variants = family_variants();
  std::string kinds;
  std::string widths;
  for (const FamilyDescriptor& family : families()) {
    const char* comma = kinds.empty() ? "" : "; ";
    kinds += fmt::format("{}{} is {}", comma, family.name, family.help);
    widths += fmt::format("{}{} ({})", comma, family.ffn_dim_rule, family.name);
  }
  std::vector<Key> keys{
      choice_key("model.family", names(variants), "decoder", "Kind of model: " + kinds + "."),
      integer_key("model.layers", "Number of blocks.").required().from(1).to(4096),
      integer_key("model.dim", "Width of the hidden state.").required().from(1).to(1 << 20),
      integer_key("model.heads", "Attention heads (queries).").required().from(1).to(1 << 16),
  };
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      keys.push_back(key_of_field("model", variant.name, field));
      keys.back().variant_key = "family";
    }
  }
  const std::vector<Key> rest{
      integer_key("model.ffn_dim",
                  "Hidden width of dense layers. auto depends on the family: " + widths + ".")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 22),
      integer_key("model.seq_len", "Tokens per training sequence.")
          .required()
          .from(1)
          .to(1 << 24)
          .unit("tokens"),
      integer_key("model.vocab", "Rows of the embedding. auto = what the tokenizer needs.")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 28),
      real_key("model.norm_eps",
               "Added to the mean square in RMSNorm, to the variance in LayerNorm.")
          .value(1e-5)
          .above(0)
          .to(1),
      real_key("model.dropout",
               "Chance that an element of a block's output is dropped in training.")
          .value(0.0)
          .from(0)
          .to(0.99),
      integer_key("model.window", "Attention sees this many last tokens; 0 = all.")
          .value(int64_t{0})
          .from(0)
          .to(1 << 24)
          .unit("tokens"),
      choice_key("model.recompute", {"none", "full"}, "none",
                 "full = keep only each block's input in forward and compute the rest again in "
                 "backward: less memory, about a third more work."),
      real_key("model.init_std",
               "Standard deviation of initial weights; projections into the residual stream are "
               "scaled by 1 / sqrt(2 layers).")
          .value(0.02)
          .above(0)
          .to(10),
  };
  keys.insert(keys.end(), rest.begin(), rest.end());
  return keys;
}

Key key_of_field(const std::string& prefix, const std::string& variant, const Field& field) {
  Key key;
  key.path = prefix + "." + field.name;
  key.variant = variant;
  key.default_value = field.default_value;
  key.help = field.help;
  key.minimum = field.minimum;
  key.maximum = field.maximum;
  key.exclusive_minimum = field.exclusive_minimum;
  key.choices = field.choices;
  key.words = field.words;
  key.on_resume = field.on_resume;
  switch (field.type) {
    case FieldType::boolean:
      key.kind = ValueKind::boolean;
      break;
    case FieldType::integer:
      key.kind = ValueKind::integer;
      break;
    case FieldType::real:
      key.kind = ValueKind::real;
      break;
    case FieldType::text:
      key.kind = ValueKind::text;
      break;
    case FieldType::choice:
      key.kind = ValueKind::choice;
      break;
    case FieldType::real_list:
      key.kind = ValueKind::real_list;
      break;
  }
  return key;
}

namespace {

void add_router(std::vector<Key>& keys, const std::string& prefix) {
  const std::vector<Variant> variants = router_variants();
  keys.push_back(choice_key(prefix + ".type", names(variants), MoEConfig{}.router.c_str(),
                            "How tokens find their experts; each type has options of its own."));
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      keys.push_back(key_of_field(prefix, variant.name, field));
    }
  }
}

}  // namespace

std::vector<Key> moe_keys() {
  std::vector<Key> keys{
      KeyMaker("moe", ValueKind::choice, "none = no experts: every layer is dense.")
          .words({"none"})
          .word("none")
          .also("a section of keys"),
      KeyMaker("moe.layers", ValueKind::integer_list,
               "Numbers of the layers with experts, from 0, instead of the rule.")
          .also("a mapping {every, first_dense}")
          .from(0)
          .to(4095),
      integer_key("moe.layers.every",
                  "Every n-th layer after the first dense ones has experts: with first_dense d "
                  "these are the layers d + n - 1, d + 2n - 1, ...")
          .value(int64_t{1})
          .from(1)
          .to(4096),
      integer_key("moe.layers.first_dense", "This many first layers stay dense.")
          .value(int64_t{0})
          .from(0)
          .to(4096),
      integer_key("moe.experts", "Experts of each layer.").value(int64_t{8}).from(1).to(65536),
      integer_key("moe.ffn_dim", "Hidden width of one expert. auto = model.ffn_dim.")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 22),
  };
  add_router(keys, "moe.router");
  keys.push_back(KeyMaker("moe.router[].layers", ValueKind::integer_list,
                          "Layers that this router serves; together the entries must cover each "
                          "layer with experts exactly once.")
                     .required()
                     .from(0)
                     .to(4095));
  add_router(keys, "moe.router[]");
  const std::vector<Key> rest{
      real_key("moe.capacity_factor",
               "Tokens that one expert takes, as a multiple of an even share: max(min_capacity, "
               "ceil(k x tokens of the group x factor / experts)). none = dropless.")
          .words({"none"})
          .word("none")
          .above(0)
          .to(1e6),
      real_key("moe.capacity_factor_eval",
               "The capacity factor in evaluation. same = as in training. Generation is dropless.")
          .words({"same", "none"})
          .word("same")
          .above(0)
          .to(1e6),
      integer_key("moe.min_capacity", "Least capacity of an expert.")
          .value(int64_t{4})
          .from(1)
          .to(1 << 24)
          .unit("tokens"),
      choice_key("moe.priority", {"position", "gate"}, "position",
                 "Who is served first when an expert is full: earlier tokens, or higher gate "
                 "weights."),
      integer_key(
          "moe.group",
          "Tokens that compete for capacity: sequence = each sequence for itself; a number "
          "= so many consecutive tokens; a mapping {across: batch, sequences: S} = the same "
          "position of S consecutive sequences.")
          .words({"sequence"})
          .word("sequence")
          .also("{across: batch, sequences: S}")
          .from(1)
          .to(1 << 30),
      KeyMaker("moe.group.across", ValueKind::choice, "Group the same position of sequences.")
          .choices({"batch"})
          .required(),
      integer_key("moe.group.sequences", "Consecutive sequences of such a group.")
          .required()
          .from(1)
          .to(1 << 24),
      integer_key("moe.shared_experts", "Experts that every token uses besides the chosen ones.")
          .value(int64_t{0})
          .from(0)
          .to(1024),
      integer_key("moe.shared_ffn_dim", "Hidden width of one shared expert. auto = moe.ffn_dim.")
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 22),
      KeyMaker("moe.balance", ValueKind::choice,
               "Loss terms that keep the experts evenly loaded: a list of {type, coef, scope}, or "
               "none. With several routers a term acts on the layers where it has a gradient.")
          .also("a list of {type, coef, scope}")
          .words({"none"})
          .word("none"),
      KeyMaker("moe.balance[].type", ValueKind::choice,
               "switch: fraction of tokens times mean probability; z: squared log-sum-exp of the "
               "logits; importance: variation of the summed probabilities; load: variation of the "
               "smooth load (needs noise: learned).")
          .choices({"switch", "z", "importance", "load"})
          .required(),
      real_key("moe.balance[].coef", "Weight of the term in the loss; 0 turns it off.")
          .required()
          .from(0)
          .to(1e6),
      choice_key("moe.balance[].scope",
                 {"sequence", "microbatch", "global_batch", "global_batch_exact"}, "sequence",
                 "Tokens over which fractions are taken: each sequence, blocks of micro_batch "
                 "sequences, or the whole batch (with the previous step's fractions; exact = with "
                 "its own, where every forward precedes the first backward: one micro-batch, or "
                 "schedule gpipe)."),
      choice_key("moe.router_precision", {"auto", "f32", "f64"}, "auto",
                 "Precision of the router. auto = the wider of f32 and the compute type."),
      integer_key("moe.overlap",
                  "Chunks of a rank's experts: while one is computed, the rows of others travel. "
                  "More than there are experts on a rank counts as one each; with ep 1 nothing "
                  "travels. The result is the same for every number.")
          .value(int64_t{1})
          .from(1)
          .to(1e6),
  };
  keys.insert(keys.end(), rest.begin(), rest.end());
  return keys;
}

}  // namespace troupe
