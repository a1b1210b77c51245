// Keys of model.
#include <fmt/core.h>

#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"
#include "launch/config/variants.h"
#include "models/families/lookup/configured_model.h"
#include "models/families/table.h"

namespace troupe {

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
      choice_key("model.family", names(variants), "decoder", "Kind of model: " + kinds + ".")
          .store(type_of(variants,
                         [](RunConfig& c, const std::string&) {
                           return Chosen{&c.model.family, &c.model.options};
                         })),
      integer_key("model.layers", "Number of blocks.")
          .into([](RunConfig & c) -> auto& { return c.model.layers; })
          .required()
          .from(1)
          .to(4096),
      integer_key("model.dim", "Width of the hidden state.")
          .into([](RunConfig & c) -> auto& { return c.model.dim; })
          .required()
          .from(1)
          .to(1 << 20),
      integer_key("model.heads", "Attention heads (queries).")
          .into([](RunConfig & c) -> auto& { return c.model.heads; })
          .required()
          .from(1)
          .to(1 << 16),
  };
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      keys.push_back(key_of_field(
          "model", variant.name, field,
          [](RunConfig& c, const std::string&) -> Options& { return c.model.options; }));
      keys.back().variant_key = "family";
    }
  }
  const std::vector<Key> rest{
      integer_key("model.ffn_dim",
                  "Hidden width of dense layers. auto depends on the family: " + widths + ".")
          .into([](RunConfig & c) -> auto& { return c.model.ffn_dim; })
          .resolves("auto",
                    [](const RunConfig& c, int) {
                      return FieldValue(find_family(c.model.family).ffn_dim(c.model.dim));
                    })
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 22),
      integer_key("model.seq_len", "Tokens per training sequence.")
          .into([](RunConfig & c) -> auto& { return c.model.seq_len; })
          .required()
          .from(1)
          .to(1 << 24)
          .unit("tokens"),
      integer_key("model.vocab", "Rows of the embedding. auto = what the tokenizer needs.")
          .store([](RunConfig& c, const std::string&, const FieldValue& value) {
            const auto* rows = std::get_if<int64_t>(&value);
            c.model.vocab = rows == nullptr ? 0 : *rows;  // auto: resolve_vocab()
          })
          .words({"auto"})
          .word("auto")
          .from(1)
          .to(1 << 28),
      real_key("model.norm_eps",
               "Added to the mean square in RMSNorm, to the variance in LayerNorm.")
          .into([](RunConfig & c) -> auto& { return c.model.norm_eps; })
          .value(1e-5)
          .above(0)
          .to(1),
      real_key("model.dropout",
               "Chance that an element of a block's output is dropped in training.")
          .into([](RunConfig & c) -> auto& { return c.model.dropout; })
          .value(0.0)
          .from(0)
          .to(0.99),
      integer_key("model.window", "Attention sees this many last tokens; 0 = all.")
          .into([](RunConfig & c) -> auto& { return c.model.window; })
          .value(int64_t{0})
          .from(0)
          .to(1 << 24)
          .unit("tokens"),
      enum_key(
          "model.recompute", EnumNames<bool>{{"none", false}, {"full", true}},
          "full = keep only each block's input in forward and compute the rest again in "
          "backward: less memory, about a third more work.",
          [](RunConfig & c) -> auto& { return c.model.recompute; })
          .word("none"),
      KeyMaker("model.init", FieldType::path,
               "Begin with the weights of this checkpoint or run instead of drawn ones: fresh "
               "optimizer, step 0. Not read where run.dir has a checkpoint to go on from.")
          .into([](RunConfig & c) -> auto& { return c.init; })
          .of_job()
          .words({"none"})
          .word("none")
          .may_change(),
      real_key("model.init_std",
               "Standard deviation of initial weights; projections into the residual stream are "
               "scaled by 1 / sqrt(2 layers).")
          .into([](RunConfig & c) -> auto& { return c.model.init_std; })
          .value(0.02)
          .above(0)
          .to(10),
  };
  keys.insert(keys.end(), rest.begin(), rest.end());
  return keys;
}

}  // namespace troupe
