#include "launch/config/build.h"

#include <algorithm>
#include <numeric>

#include "core/kernels/product.h"
#include "core/tensor/dtype.h"
#include "launch/config/layout_rules.h"
#include "launch/config/variants.h"
#include "models/families/lookup/configured_model.h"
#include "moe/balance/balance.h"

namespace troupe {
namespace {

DType dtype_of(const std::string& name) {
  if (name == "f64") return DType::f64;
  if (name == "bf16") return DType::bf16;
  return DType::f32;
}

// The options of the chosen type: what of its field list the sheet holds under `path`.
Options options_of(const Sheet& sheet, const std::string& path, const std::string& type,
                   const std::vector<Variant>& variants) {
  for (const Variant& variant : variants) {
    if (variant.name != type) continue;
    Options options(variant.fields);
    for (const Field& field : variant.fields) {
      const Entry* entry = sheet.find(path + "." + field.name);
      if (entry != nullptr) options.set(field.name, entry->value);
    }
    return options;
  }
  return {};
}

int64_t integer_or(Sheet& sheet, const std::string& path, const std::string& word, int64_t value) {
  if (sheet.is_word(path, word)) sheet.resolve(path, value);
  return sheet.integer(path);
}

void build_family(Sheet& sheet, ModelConfig& model) {
  model.family = sheet.text("model.family");
  const FamilyDescriptor& family = find_family(model.family);
  model.options = options_of(sheet, "model", model.family, family_variants());
  Options resolved = model.options;
  family.resolve(model, resolved);
  for (const Field& field : family.fields) {
    for (const std::string& word : field.words) {
      const std::string path = "model." + field.name;
      if (sheet.is_word(path, word)) sheet.resolve(path, resolved.values().at(field.name));
    }
  }
  model.ffn_dim = integer_or(sheet, "model.ffn_dim", "auto", family.ffn_dim(model.dim));
}

void build_model(Sheet& sheet, ModelConfig& model) {
  model.layers = sheet.integer("model.layers");
  model.dim = sheet.integer("model.dim");
  model.heads = sheet.integer("model.heads");
  build_family(sheet, model);
  model.seq_len = sheet.integer("model.seq_len");
  model.vocab = sheet.is_word("model.vocab", "auto") ? 0 : sheet.integer("model.vocab");
  model.norm_eps = sheet.real("model.norm_eps");
  model.dropout = sheet.real("model.dropout");
  model.window = sheet.integer("model.window");
  model.recompute = sheet.text("model.recompute") == "full";
  model.mask_documents = sheet.boolean("data.mask_documents");
  model.init_std = sheet.real("model.init_std");
  // By this processor; the ranks of a job agree on it later.
  if (sheet.is_word("precision.compute", "auto")) {
    sheet.resolve("precision.compute", std::string(kernels::hardware_bf16() ? "bf16" : "f32"));
  }
  model.compute = dtype_of(sheet.text("precision.compute"));
}

std::optional<double> capacity(const Sheet& sheet, const std::string& path) {
  if (sheet.is_word(path, "none")) return std::nullopt;
  return sheet.real(path);
}

GroupRule group_rule(const Sheet& sheet) {
  GroupRule group;
  if (sheet.has("moe.group.sequences")) {
    group.kind = GroupRule::Kind::across_batch;
    group.sequences = sheet.integer("moe.group.sequences");
  } else if (!sheet.is_word("moe.group", "sequence")) {
    group.kind = GroupRule::Kind::tokens;
    group.tokens = sheet.integer("moe.group");
  }
  return group;
}

BalanceScope scope_of(const std::string& name) {
  if (name == "microbatch") return BalanceScope::microbatch;
  if (name == "global_batch") return BalanceScope::global_batch;
  if (name == "global_batch_exact") return BalanceScope::global_batch_exact;
  return BalanceScope::sequence;
}

std::vector<BalanceTerm> balance_terms(const Sheet& sheet) {
  std::vector<BalanceTerm> terms;
  for (int i = 0; i < sheet.count("moe.balance"); ++i) {
    const std::string path = fmt::format("moe.balance[{}].", i);
    terms.push_back(BalanceTerm{sheet.text(path + "type"), sheet.real(path + "coef"),
                                scope_of(sheet.text(path + "scope"))});
  }
  return terms;
}

// What all layers with experts share; the router is put in per layer.
MoEConfig common_moe(Sheet& sheet, const ModelConfig& model) {
  MoEConfig moe;
  moe.experts = sheet.integer("moe.experts");
  moe.ffn_dim = integer_or(sheet, "moe.ffn_dim", "auto", model.ffn_dim);
  moe.capacity_factor = capacity(sheet, "moe.capacity_factor");
  if (sheet.is_word("moe.capacity_factor_eval", "same")) {
    sheet.resolve("moe.capacity_factor_eval", sheet.find("moe.capacity_factor")->value);
  }
  moe.capacity_factor_eval = capacity(sheet, "moe.capacity_factor_eval");
  moe.min_capacity = sheet.integer("moe.min_capacity");
  moe.priority = sheet.text("moe.priority") == "gate" ? Priority::gate : Priority::position;
  moe.shared_experts = sheet.integer("moe.shared_experts");
  moe.shared_ffn_dim = integer_or(sheet, "moe.shared_ffn_dim", "auto", moe.ffn_dim);
  moe.balance = balance_terms(sheet);
  moe.group = group_rule(sheet);
  const std::string& precision = sheet.text("moe.router_precision");
  moe.router_precision = precision == "auto" ? wide(model.compute) : dtype_of(precision);
  moe.overlap = static_cast<int>(sheet.integer("moe.overlap"));
  return moe;
}

void build_moe(Sheet& sheet, ModelConfig& model) {
  model.moe.assign(static_cast<size_t>(model.layers), std::nullopt);
  if (sheet.is_word("moe", "none")) return;
  const MoEConfig common = common_moe(sheet, model);
  const std::vector<Variant> variants = router_variants();
  const auto put = [&](int64_t layer, const std::string& path) {
    if (layer < 0 || layer >= model.layers) return;
    MoEConfig moe = common;
    moe.router = sheet.text(path + ".type");
    moe.router_options = options_of(sheet, path, moe.router, variants);
    model.moe[static_cast<size_t>(layer)] = std::move(moe);
  };
  const int routers = sheet.count("moe.router");
  for (const int64_t layer : moe_layer_numbers(sheet, model.layers)) {
    if (routers == 0) put(layer, "moe.router");
    for (int i = 0; i < routers; ++i) {
      const std::string path = fmt::format("moe.router[{}]", i);
      const std::vector<double>& served = sheet.list(path + ".layers");
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

void build_data(const Sheet& sheet, DataSection& data) {
  data.tokenizer = sheet.text("data.tokenizer");
  if (sheet.has("data.train")) data.train.push_back({sheet.text("data.train"), 1.0});
  for (int i = 0; i < sheet.count("data.train"); ++i) {
    const std::string path = fmt::format("data.train[{}].", i);
    data.train.push_back({sheet.text(path + "path"), sheet.real(path + "weight")});
  }
  if (!sheet.is_word("data.val", "none")) data.val = sheet.text("data.val");
  data.val_fraction = data.val.empty() ? sheet.real("data.val_fraction") : 0.0;
  data.text.field = sheet.text("data.field");
  data.text.format = text_format(sheet.text("data.format"));
  data.text.invalid_utf8 = invalid_utf8(sheet.text("data.invalid_utf8"));
  data.text.keep_anything = data.text.invalid_utf8 == InvalidUtf8::keep &&
                            sheet.find("data.invalid_utf8")->place.source != Source::none;
  data.end_of_text = sheet.text("data.end_of_text");
  if (!sheet.is_word("data.separator", "none")) data.separator = sheet.text("data.separator");
}

PipelineSchedule schedule_of(const std::string& name) {
  if (name == "gpipe") return PipelineSchedule::gpipe;
  if (name == "interleaved") return PipelineSchedule::interleaved;
  if (name == "zero_bubble") return PipelineSchedule::zero_bubble;
  return PipelineSchedule::one_f_one_b;
}

void build_parallel(Sheet& sheet, Parallelism& parallel, int world) {
  const auto degree = [&](const char* key) { return static_cast<int>(sheet.integer(key)); };
  MeshShape& shape = parallel.shape;
  shape[Axis::tp] = degree("parallel.tp");
  shape[Axis::cp] = degree("parallel.cp");
  shape[Axis::pp] = degree("parallel.pp");
  shape[Axis::ep] = degree("parallel.ep");
  shape[Axis::etp] = degree("parallel.etp");
  const int64_t others = int64_t{shape[Axis::tp]} * shape[Axis::cp] * shape[Axis::pp];
  shape[Axis::dp] = static_cast<int>(
      integer_or(sheet, "parallel.dp", "auto", std::max<int64_t>(1, world / others)));
  shape.derive_edp();
  if (sheet.is_word("parallel.sp", "auto")) sheet.resolve("parallel.sp", shape[Axis::tp] > 1);
  parallel.sp = sheet.boolean("parallel.sp");
  parallel.virtual_stages = degree("parallel.virtual_stages");
  parallel.zero = degree("parallel.zero");
  parallel.schedule = schedule_of(sheet.text("parallel.schedule"));
  parallel.cp_kind = sheet.text("parallel.cp_kind") == "ring" ? CpKind::ring : CpKind::all_to_all;
  parallel.ep_kind = sheet.text("parallel.ep_kind") == "flat" ? EpKind::flat : EpKind::hierarchical;
  if (!sheet.is_word("parallel.ranks_per_node", "auto")) {
    parallel.ranks_per_node = static_cast<int>(sheet.integer("parallel.ranks_per_node"));
  }
}

void build_optimizer(const Sheet& sheet, RunConfig& config) {
  config.optimizer.type = sheet.text("optimizer.type");
  config.optimizer.options =
      options_of(sheet, "optimizer", config.optimizer.type, optimizer_variants());
  config.optimizer.lr = sheet.real("optimizer.lr");
  config.optimizer.clip =
      sheet.is_word("optimizer.clip", "none") ? 0 : sheet.real("optimizer.clip");
  for (int i = 0; i < sheet.count("optimizer.groups"); ++i) {
    const std::string path = fmt::format("optimizer.groups[{}].", i);
    ParameterGroup group{sheet.text(path + "match"), sheet.real(path + "lr_scale"), {}};
    if (!sheet.is_word(path + "weight_decay", "same")) {
      group.weight_decay = sheet.real(path + "weight_decay");
    }
    config.optimizer.groups.push_back(std::move(group));
  }
  config.schedule.type = sheet.text("schedule.type");
  config.schedule.options =
      options_of(sheet, "schedule", config.schedule.type, schedule_variants());
}

std::string stem_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  std::string stem = slash == std::string::npos ? file : file.substr(slash + 1);
  const size_t dot = stem.find('.');
  if (dot != std::string::npos) stem.resize(dot);
  return stem.empty() ? "run" : stem;
}

void build_run(Sheet& sheet, RunSection& run) {
  if (sheet.is_word("run.name", "auto")) sheet.resolve("run.name", stem_of(sheet.file));
  run.name = sheet.text("run.name");
  if (sheet.is_word("run.dir", "auto")) sheet.resolve("run.dir", "runs/" + run.name);
  run.dir = sheet.text("run.dir");
  run.seed = static_cast<uint64_t>(sheet.integer("run.seed"));
}

void build_machine(const Sheet& sheet, RunConfig& config) {
  config.checkpoint.every = sheet.integer("checkpoint.every");
  config.checkpoint.keep = sheet.integer("checkpoint.keep");
  config.checkpoint.resume = sheet.text("checkpoint.resume");
  config.checkpoint.shard_above = sheet.integer("checkpoint.shard_above");
  config.checkpoint.async = sheet.boolean("checkpoint.async");
  config.eval.every = sheet.integer("eval.every");
  config.eval.tokens = sheet.is_word("eval.tokens", "all") ? 0 : sheet.integer("eval.tokens");
  config.logging.every = sheet.integer("logging.every");
  config.logging.tensorboard = sheet.boolean("logging.tensorboard");
  if (!sheet.is_word("runtime.threads", "auto")) {
    config.runtime.threads = static_cast<int>(sheet.integer("runtime.threads"));
  }
  config.runtime.timeout = std::chrono::milliseconds(sheet.integer("runtime.timeout"));
  config.runtime.check_collectives = sheet.boolean("runtime.check_collectives");
  config.bench.routing = sheet.text("bench.routing");
}

}  // namespace

std::vector<int64_t> moe_layer_numbers(const Sheet& sheet, int64_t layers) {
  std::vector<int64_t> numbers;
  if (sheet.is_word("moe", "none")) return numbers;
  if (sheet.has("moe.layers")) {
    for (const double layer : sheet.list("moe.layers")) {
      numbers.push_back(static_cast<int64_t>(layer));
    }
    return numbers;
  }
  const int64_t every = sheet.integer("moe.layers.every");
  const int64_t first = sheet.integer("moe.layers.first_dense");
  for (int64_t layer = first + every - 1; layer < layers; layer += every) numbers.push_back(layer);
  return numbers;
}

RunConfig build_config(Sheet sheet, int world) {
  RunConfig config;
  build_run(sheet, config.run);
  build_model(sheet, config.model);
  build_moe(sheet, config.model);
  build_data(sheet, config.data);
  build_optimizer(sheet, config);
  build_parallel(sheet, config.parallel, world);
  config.train.steps = sheet.integer("train.steps");
  config.train.global_batch = sheet.integer("train.global_batch");
  config.train.micro_batch =
      integer_or(sheet, "train.micro_batch", "auto",
                 std::max<int64_t>(1, config.train.global_batch / config.parallel.shape[Axis::dp]));
  build_machine(sheet, config);
  config.sheet = std::move(sheet);
  return config;
}

}  // namespace troupe
