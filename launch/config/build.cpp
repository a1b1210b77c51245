#include "launch/config/build.h"

#include <algorithm>
#include <numeric>

#include "core/kernels/cpu/product.h"
#include "core/tensor/dtype.h"
#include "launch/config/setting_names.h"
#include "launch/config/variants.h"
#include "models/families/lookup/configured_model.h"
#include "models/layouts/layout_rules.h"
#include "moe/balance/balance.h"

namespace troupe {
namespace {

DType dtype_of(const std::string& name) {
  if (name == "f64") return DType::f64;
  if (name == "bf16") return DType::bf16;
  return DType::f32;
}

// The options of the chosen type: what of its field list the values hold under `path`.
Options options_of(const ConfigValues& values, const std::string& path, const std::string& type,
                   const std::vector<Variant>& variants) {
  for (const Variant& variant : variants) {
    if (variant.name != type) continue;
    Options options(variant.fields);
    for (const Field& field : variant.fields) {
      const ConfigValue* entry = values.find(path + "." + field.name);
      if (entry != nullptr) options.set(field.name, entry->value);
    }
    return options;
  }
  return {};
}

int64_t integer_or(ConfigValues& values, const std::string& path, const std::string& word,
                   int64_t value) {
  if (values.is_word(path, word)) values.resolve(path, value);
  return values.integer(path);
}

void build_family(ConfigValues& values, ModelConfig& model) {
  model.family = values.text("model.family");
  const FamilyDescriptor& family = find_family(model.family);
  model.options = options_of(values, "model", model.family, family_variants());
  Options resolved = model.options;
  family.resolve(model, resolved);
  for (const Field& field : family.fields) {
    for (const std::string& word : field.words) {
      const std::string path = "model." + field.name;
      if (values.is_word(path, word)) values.resolve(path, resolved.values().at(field.name));
    }
  }
  model.ffn_dim = integer_or(values, "model.ffn_dim", "auto", family.ffn_dim(model.dim));
}

void build_model(ConfigValues& values, ModelConfig& model) {
  model.layers = values.integer("model.layers");
  model.dim = values.integer("model.dim");
  model.heads = values.integer("model.heads");
  build_family(values, model);
  model.seq_len = values.integer("model.seq_len");
  model.vocab = values.is_word("model.vocab", "auto") ? 0 : values.integer("model.vocab");
  model.norm_eps = values.real("model.norm_eps");
  model.dropout = values.real("model.dropout");
  model.window = values.integer("model.window");
  model.recompute = values.text("model.recompute") == "full";
  model.mask_documents = values.boolean("data.mask_documents");
  model.init_std = values.real("model.init_std");
  // By this processor; the ranks of a job agree on it later.
  if (values.is_word("precision.compute", "auto")) {
    values.resolve("precision.compute",
                   std::string(kernels::cpu::hardware_bf16() ? "bf16" : "f32"));
  }
  model.compute = dtype_of(values.text("precision.compute"));
}

std::optional<double> capacity(const ConfigValues& values, const std::string& path) {
  if (values.is_word(path, "none")) return std::nullopt;
  return values.real(path);
}

GroupRule group_rule(const ConfigValues& values) {
  GroupRule group;
  if (values.has("moe.group.sequences")) {
    group.kind = GroupRule::Kind::across_batch;
    group.sequences = values.integer("moe.group.sequences");
  } else if (!values.is_word("moe.group", "sequence")) {
    group.kind = GroupRule::Kind::tokens;
    group.tokens = values.integer("moe.group");
  }
  return group;
}

BalanceScope scope_of(const std::string& name) {
  if (name == "microbatch") return BalanceScope::microbatch;
  if (name == "global_batch") return BalanceScope::global_batch;
  if (name == "global_batch_exact") return BalanceScope::global_batch_exact;
  return BalanceScope::sequence;
}

std::vector<BalanceTerm> balance_terms(const ConfigValues& values) {
  std::vector<BalanceTerm> terms;
  for (int i = 0; i < values.count("moe.balance"); ++i) {
    const std::string path = fmt::format("moe.balance[{}].", i);
    terms.push_back(BalanceTerm{values.text(path + "type"), values.real(path + "coef"),
                                scope_of(values.text(path + "scope"))});
  }
  return terms;
}

// What all layers with experts share; the router is put in per layer.
MoEConfig common_moe(ConfigValues& values, const ModelConfig& model) {
  MoEConfig moe;
  moe.experts = values.integer("moe.experts");
  moe.ffn_dim = integer_or(values, "moe.ffn_dim", "auto", model.ffn_dim);
  moe.capacity_factor = capacity(values, "moe.capacity_factor");
  if (values.is_word("moe.capacity_factor_eval", "same")) {
    values.resolve("moe.capacity_factor_eval", values.find("moe.capacity_factor")->value);
  }
  moe.capacity_factor_eval = capacity(values, "moe.capacity_factor_eval");
  moe.min_capacity = values.integer("moe.min_capacity");
  moe.priority = values.text("moe.priority") == "gate" ? Priority::gate : Priority::position;
  moe.shared_experts = values.integer("moe.shared_experts");
  moe.shared_ffn_dim = integer_or(values, "moe.shared_ffn_dim", "auto", moe.ffn_dim);
  moe.balance = balance_terms(values);
  moe.group = group_rule(values);
  const std::string& precision = values.text("moe.router_precision");
  moe.router_precision = precision == "auto" ? wide(model.compute) : dtype_of(precision);
  moe.overlap = static_cast<int>(values.integer("moe.overlap"));
  return moe;
}

void build_moe(ConfigValues& values, ModelConfig& model) {
  model.moe.assign(static_cast<size_t>(model.layers), std::nullopt);
  if (values.is_word("moe", "none")) return;
  const MoEConfig common = common_moe(values, model);
  const std::vector<Variant> variants = router_variants();
  const auto put = [&](int64_t layer, const std::string& path) {
    if (layer < 0 || layer >= model.layers) return;
    MoEConfig moe = common;
    moe.router = values.text(path + ".type");
    moe.router_options = options_of(values, path, moe.router, variants);
    model.moe[static_cast<size_t>(layer)] = std::move(moe);
  };
  const int routers = values.count("moe.router");
  for (const int64_t layer : moe_layer_numbers(values, model.layers)) {
    if (routers == 0) put(layer, "moe.router");
    for (int i = 0; i < routers; ++i) {
      const std::string path = fmt::format("moe.router[{}]", i);
      const std::vector<double>& served = values.list(path + ".layers");
      if (std::find(served.begin(), served.end(), static_cast<double>(layer)) != served.end()) {
        put(layer, path);
      }
    }
  }
  // With several routers a term acts on the layers where it has a gradient.
  if (routers == 0) return;
  for (std::optional<MoEConfig>& moe : model.moe) {
    if (!moe) continue;
    std::erase_if(moe->balance, [&](const BalanceTerm& term) {
      return !balance_problem(term, moe->router, moe->router_options).empty();
    });
  }
}

void build_data(const ConfigValues& values, DataConfig& data) {
  data.tokenizer = values.text("data.tokenizer");
  if (values.has("data.train")) data.train.push_back({values.text("data.train"), 1.0});
  for (int i = 0; i < values.count("data.train"); ++i) {
    const std::string path = fmt::format("data.train[{}].", i);
    data.train.push_back({values.text(path + "path"), values.real(path + "weight")});
  }
  if (!values.is_word("data.val", "none")) data.val = values.text("data.val");
  data.val_fraction = data.val.empty() ? values.real("data.val_fraction") : 0.0;
  data.text.names = key_names;
  data.text.field = values.text("data.field");
  data.text.format = text_format(values.text("data.format"));
  data.text.invalid_utf8 = invalid_utf8(values.text("data.invalid_utf8"));
  data.text.keep_anything = data.text.invalid_utf8 == InvalidUtf8::keep &&
                            values.find("data.invalid_utf8")->place.source != Source::none;
  data.end_of_text = values.text("data.end_of_text");
  if (!values.is_word("data.separator", "none")) data.separator = values.text("data.separator");
}

PipelineSchedule schedule_of(const std::string& name) {
  if (name == "gpipe") return PipelineSchedule::gpipe;
  if (name == "interleaved") return PipelineSchedule::interleaved;
  if (name == "zero_bubble") return PipelineSchedule::zero_bubble;
  return PipelineSchedule::one_f_one_b;
}

void build_parallel(ConfigValues& values, Parallelism& parallel, int world) {
  const auto degree = [&](const char* key) { return static_cast<int>(values.integer(key)); };
  MeshShape& shape = parallel.shape;
  shape[Axis::tp] = degree("parallel.tp");
  shape[Axis::cp] = degree("parallel.cp");
  shape[Axis::pp] = degree("parallel.pp");
  shape[Axis::ep] = degree("parallel.ep");
  shape[Axis::etp] = degree("parallel.etp");
  const int64_t others = int64_t{shape[Axis::tp]} * shape[Axis::cp] * shape[Axis::pp];
  shape[Axis::dp] = static_cast<int>(
      integer_or(values, "parallel.dp", "auto", std::max<int64_t>(1, world / others)));
  shape.derive_edp();
  if (values.is_word("parallel.sp", "auto")) values.resolve("parallel.sp", shape[Axis::tp] > 1);
  parallel.sp = values.boolean("parallel.sp");
  parallel.virtual_stages = degree("parallel.virtual_stages");
  parallel.zero = degree("parallel.zero");
  parallel.schedule = schedule_of(values.text("parallel.schedule"));
  parallel.cp_kind = values.text("parallel.cp_kind") == "ring" ? CpKind::ring : CpKind::all_to_all;
  parallel.ep_kind =
      values.text("parallel.ep_kind") == "flat" ? EpKind::flat : EpKind::hierarchical;
  if (!values.is_word("parallel.ranks_per_node", "auto")) {
    parallel.ranks_per_node = static_cast<int>(values.integer("parallel.ranks_per_node"));
  }
}

void build_optimizer(const ConfigValues& values, RunConfig& config) {
  config.optimizer.type = values.text("optimizer.type");
  config.optimizer.options =
      options_of(values, "optimizer", config.optimizer.type, optimizer_variants());
  config.optimizer.lr = values.real("optimizer.lr");
  config.optimizer.clip =
      values.is_word("optimizer.clip", "none") ? 0 : values.real("optimizer.clip");
  for (int i = 0; i < values.count("optimizer.groups"); ++i) {
    const std::string path = fmt::format("optimizer.groups[{}].", i);
    ParameterGroup group{values.text(path + "match"), values.real(path + "lr_scale"), {}};
    if (!values.is_word(path + "weight_decay", "same")) {
      group.weight_decay = values.real(path + "weight_decay");
    }
    config.optimizer.groups.push_back(std::move(group));
  }
  config.schedule.type = values.text("schedule.type");
  config.schedule.options =
      options_of(values, "schedule", config.schedule.type, schedule_variants());
}

std::string stem_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  std::string stem = slash == std::string::npos ? file : file.substr(slash + 1);
  const size_t dot = stem.find('.');
  if (dot != std::string::npos) stem.resize(dot);
  return stem.empty() ? "run" : stem;
}

void build_run(ConfigValues& values, RunIdentityConfig& run) {
  if (values.is_word("run.name", "auto")) values.resolve("run.name", stem_of(values.file));
  run.name = values.text("run.name");
  if (values.is_word("run.dir", "auto")) values.resolve("run.dir", "runs/" + run.name);
  run.dir = values.text("run.dir");
  run.seed = static_cast<uint64_t>(values.integer("run.seed"));
}

void build_machine(const ConfigValues& values, RunConfig& config) {
  config.checkpoint.every = values.integer("checkpoint.every");
  config.checkpoint.keep = values.integer("checkpoint.keep");
  config.checkpoint.resume = values.text("checkpoint.resume");
  config.checkpoint.shard_above = values.integer("checkpoint.shard_above");
  config.checkpoint.async = values.boolean("checkpoint.async");
  config.eval.every = values.integer("eval.every");
  config.eval.tokens = values.is_word("eval.tokens", "all") ? 0 : values.integer("eval.tokens");
  config.logging.every = values.integer("logging.every");
  config.logging.tensorboard = values.boolean("logging.tensorboard");
  if (!values.is_word("runtime.threads", "auto")) {
    config.runtime.threads = static_cast<int>(values.integer("runtime.threads"));
  }
  config.runtime.timeout = std::chrono::milliseconds(values.integer("runtime.timeout"));
  config.runtime.check_collectives = values.boolean("runtime.check_collectives");
  config.bench.routing = values.text("bench.routing");
}

}  // namespace

std::vector<int64_t> moe_layer_numbers(const ConfigValues& values, int64_t layers) {
  std::vector<int64_t> numbers;
  if (values.is_word("moe", "none")) return numbers;
  if (values.has("moe.layers")) {
    for (const double layer : values.list("moe.layers")) {
      numbers.push_back(static_cast<int64_t>(layer));
    }
    return numbers;
  }
  const int64_t every = values.integer("moe.layers.every");
  const int64_t first = values.integer("moe.layers.first_dense");
  for (int64_t layer = first + every - 1; layer < layers; layer += every) numbers.push_back(layer);
  return numbers;
}

RunConfig build_config(ConfigValues values, int world) {
  RunConfig config;
  build_run(values, config.run);
  build_model(values, config.model);
  build_moe(values, config.model);
  build_data(values, config.data);
  build_optimizer(values, config);
  build_parallel(values, config.parallel, world);
  config.train.steps = values.integer("train.steps");
  config.train.global_batch = values.integer("train.global_batch");
  config.train.micro_batch =
      integer_or(values, "train.micro_batch", "auto",
                 std::max<int64_t>(1, config.train.global_batch / config.parallel.shape[Axis::dp]));
  build_machine(values, config);
  config.values = std::move(values);
  return config;
}

}  // namespace troupe
