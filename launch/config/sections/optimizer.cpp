// Keys of optimizer and schedule.
#include "launch/config/key_maker.h"
#include "launch/config/schema_keys.h"
#include "launch/config/variants.h"

namespace troupe {

std::vector<Key> optimizer_keys() {
  const std::vector<Variant> variants = optimizer_variants();
  std::vector<Key> keys{choice_key("optimizer.type", names(variants), "adamw",
                                   "The update rule; each type has options of its own.")
                            .store(type_of(variants, [](RunConfig& c, const std::string&) {
                              return Chosen{&c.optimizer.optimizer, &c.optimizer.optimizer_options};
                            }))};
  const auto declared = [&](const std::string& name) {
    for (const Variant& variant : variants) {
      for (const Field& field : variant.fields) {
        if (field.name == name) return true;
      }
    }
    return false;
  };
  if (!declared("lr")) {
    keys.push_back(real_key("optimizer.lr", "Peak learning rate.")
                       .into([](RunConfig & c) -> auto& { return c.optimizer.lr; })
                       .value(1e-3)
                       .above(0)
                       .to(1e3));
  }
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      keys.push_back(key_of_field("optimizer", variant.name, field,
                                  [](RunConfig& c, const std::string&) -> Options& {
                                    return c.optimizer.optimizer_options;
                                  }));
    }
  }
  if (!declared("clip")) {
    keys.push_back(
        real_key("optimizer.clip", "Largest global norm of the gradient; none or 0 = no clipping.")
            .store([](RunConfig& c, const std::string&, const FieldValue& value) {
              const auto* most = std::get_if<double>(&value);
              c.optimizer.clip = most == nullptr ? 0 : *most;  // none
            })
            .words({"none"})
            .value(1.0)
            .from(0)
            .to(1e9));
  }
  keys.push_back(
      KeyMaker("optimizer.groups", FieldType::choice,
               "Parameters that are updated in another way, by their names in checkpoints: a list "
               "of {match, lr_scale, weight_decay}, or none. The first group that matches counts.")
          .also("a list of {match, lr_scale, weight_decay}")
          .words({"none"})
          .word("none"));
  keys.push_back(KeyMaker("optimizer.groups[].match", FieldType::text,
                          "Pattern of whole names, as a shell matches files: * any text, ? one "
                          "character, [0-3] one of these; such as \"*.router.*\". One that "
                          "matches no parameter is an error.")
                     .into(
                         [](RunConfig & c) -> auto& { return c.optimizer.parameter_groups; },
                         &ParameterGroup::match)
                     .required());
  keys.push_back(real_key("optimizer.groups[].lr_scale", "Times the learning rate of each step.")
                     .into(
                         [](RunConfig & c) -> auto& { return c.optimizer.parameter_groups; },
                         &ParameterGroup::lr_scale)
                     .value(1.0)
                     .from(0)
                     .to(1e3));
  keys.push_back(real_key("optimizer.groups[].weight_decay",
                          "Instead of optimizer.weight_decay; norms and biases have none in any "
                          "group. same = optimizer.weight_decay.")
                     .into(
                         [](RunConfig & c) -> auto& { return c.optimizer.parameter_groups; },
                         &ParameterGroup::weight_decay)
                     .keeps("same")
                     .words({"same"})
                     .word("same")
                     .from(0)
                     .to(100));
  return keys;
}

std::vector<Key> schedule_keys() {
  const std::vector<Variant> variants = schedule_variants();
  std::vector<Key> keys{choice_key("schedule.type", names(variants), "cosine",
                                   "How the learning rate moves; all begin with a linear warm-up.")
                            .store(type_of(variants, [](RunConfig& c, const std::string&) {
                              return Chosen{&c.schedule.schedule, &c.schedule.schedule_options};
                            }))};
  for (const Variant& variant : variants) {
    for (const Field& field : variant.fields) {
      Key key = key_of_field(
          "schedule", variant.name, field,
          [](RunConfig& c, const std::string&) -> Options& { return c.schedule.schedule_options; });
      key.on_resume = OnResume::fixed;  // a resumed run goes on along the same curve
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

}  // namespace troupe
