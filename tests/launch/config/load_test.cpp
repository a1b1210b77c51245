#include "launch/config/load.h"

#include <gtest/gtest.h>

#include "launch/config/help.h"
#include "launch/config/optimizer_groups.h"
#include "launch/config/resolved.h"
#include "launch/config/schema.h"
#include "models/families/lookup/configured_model.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

TEST(Load, ValuesDefaultsAndAuto) {
  const RunConfig config = load({}, 2);
  EXPECT_EQ(config.run.name, "small");
  EXPECT_EQ(config.run.dir, "runs/small");
  EXPECT_EQ(config.run.seed, 7U);
  EXPECT_EQ(config.model.head_dim, 16);
  EXPECT_EQ(config.model.vocab, 256);
  EXPECT_EQ(config.parallel.shape[Axis::dp], 2);
  EXPECT_EQ(config.data.train.at(0).path, "dir/text.txt");
  EXPECT_EQ(config.data.val_fraction, 0.1);
  ASSERT_EQ(config.model.moe.size(), 4U);
  ASSERT_TRUE(config.model.moe[3].has_value());
  const MoEConfig& moe = *config.model.moe[3];
  EXPECT_EQ(moe.router_options.integer("top_k"), 2);
  EXPECT_EQ(moe.shared_ffn_dim, 64);
  EXPECT_FALSE(moe.capacity_factor.has_value());
  ASSERT_EQ(moe.balance.size(), 1U);
  EXPECT_EQ(moe.balance[0].type, "switch");
  EXPECT_EQ(config.runtime.timeout, std::chrono::minutes(10));
  EXPECT_EQ(config.optimizer.optimizer_options.reals("betas"), (std::vector<double>{0.9, 0.95}));
}

TEST(Load, CommandLineGoesThroughTheSameChecks) {
  const RunConfig config = load({"train.steps=1_000", "moe.capacity_factor=1.25",
                                 "optimizer={type: sgd, momentum: 0.5}", "moe.balance[0].coef=0.5",
                                 "moe.layers=[1, 3]", "data.val=held.txt", "eval.tokens=64k"});
  EXPECT_EQ(config.train.steps, 1000);
  EXPECT_EQ(config.model.moe[1]->capacity_factor, 1.25);
  EXPECT_EQ(config.model.moe[1]->capacity_factor_eval, 1.25);
  EXPECT_FALSE(config.model.moe[0].has_value());
  EXPECT_EQ(config.optimizer.optimizer, "sgd");
  EXPECT_EQ(config.optimizer.optimizer_options.real("momentum"), 0.5);
  EXPECT_EQ(config.model.moe[1]->balance[0].coef, 0.5);
  EXPECT_EQ(config.data.val, "held.txt");  // relative to the working directory
  EXPECT_EQ(config.eval.tokens, 64000);
}

// Read before the ranks have started, when nothing else can be checked.
TEST(Load, TheTimeoutIsKnownBeforeTheRanks) {
  const std::string sample = TROUPE_SOURCE_DIR "/configs/tiny/shakespeare.yaml";
  EXPECT_EQ(runtime_timeout(sample, {}), std::chrono::minutes(10));
  EXPECT_EQ(runtime_timeout(sample, {"runtime.timeout=8s", "parallel.ep=3"}),
            std::chrono::seconds(8));
  EXPECT_EQ(runtime_timeout(sample, {"runtime.timeout=soon"}), std::chrono::minutes(10));
  EXPECT_EQ(runtime_timeout("no/such/file.yaml", {}), std::chrono::minutes(10));
}

// Each with what the message must say.
TEST(Load, OddValuesOfTheCommandLine) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"train.steps=1e30", "nearest legal value: 1000000000000"},
      {"train.steps=0x10", "write 16"},
      {"train.steps=010", "leading zero"},
      {"train.steps=9223372036854775808", "nearest legal value: 1000000000000"},
      {"run.seed=18446744073709551615", "nearest legal value: 9223372036854775807"},
      {"optimizer.lr=1e400", "nearest legal value: 1000.0"},
      {"optimizer.lr=1e-400", "write a value above 0.0"},
      {"optimizer.lr=nan", "write a finite number"},
      {"runtime.timeout=0s", "nearest legal value: 1ms"},
      {"runtime.timeout=10", "write 10s"},
      {"model.qk_norm=yes", "write true"},
      {"router.top_k=1", "it belongs at moe.router"},
      {"experts=4", "it belongs at moe.experts"},
      {"optimizer.betas=[0.9", "the '[' of the value is not closed"},
      {"train={steps: 3", "the '{' of the value is not closed"},
      {"train.steps = 3", "did you mean train.steps?"},
      {"train..steps=3", "names no place"},
      {"train.steps.x=3", "must be integer"},
      {"run.name=..", "is a name, not a path"},
      {"moe.balance={type: z, coef: 0.1}", "must be none | a list"}};
  for (const auto& [given, expected] : cases) {
    EXPECT_NE(refusal({given}).find(expected), std::string::npos) << given << "\n"
                                                                  << refusal({given});
  }
}

// Whatever would overflow 64 bits in parameters or bytes.
TEST(Load, SizesThatCannotBeCounted) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"model.dim=1048576", "model.heads=2", "moe.experts=65536", "moe.ffn_dim=4194304"},
       "moe.experts = 65536: 3 x layers with experts x experts x dim x moe.ffn_dim = 3.5e+18 "
       "parameters, and at most 1e+15 can be counted; with the other sizes as they are at most 18"},
      {{"model.dim=1048576", "model.heads=65536", "model.kv_heads=65536", "model.head_dim=1048576"},
       "model.heads = 65536: 2 x layers x dim x (heads + kv_heads) x head_dim"},
      {{"moe=none", "model.layers=4096", "model.dim=1048576", "model.ffn_dim=4194304"},
       "model.ffn_dim = 4194304: 3 x dense layers x dim x ffn_dim = 5.4e+16"},
      {{"moe.shared_experts=1024", "moe.shared_ffn_dim=4194304", "model.dim=1048576"},
       "moe.shared_experts = 1024"},
      {{"model.seq_len=16777216", "train.global_batch=16777216"},
       "train.global_batch = 16777216: global_batch x seq_len x layers x the width of a block"}};
  for (const auto& [overrides, expected] : cases) {
    const std::string text = refusal(overrides);
    EXPECT_NE(text.find(expected), std::string::npos) << text;
  }
  EXPECT_EQ(refusal({"model.vocab=268435456", "model.dim=1048576"}), "");
}

// A configuration written as JSON has quotes around every word.
TEST(Load, WordsInQuotes) {
  const RunConfig config =
      load({"data.tokenizer=\"byte\"", "data.val='none'", "checkpoint.resume=\"never\"",
            "parallel.dp=\"auto\"", "moe.capacity_factor=\"none\"", "eval.tokens=\"all\"",
            "runtime.timeout=\"8s\"", "optimizer.clip='none'", "run.name=\"auto\""});
  EXPECT_EQ(config.data.tokenizer, "byte");
  EXPECT_EQ(config.data.val, "");
  EXPECT_EQ(config.checkpoint.resume, "never");
  EXPECT_EQ(config.eval.tokens, 0);
  EXPECT_EQ(config.optimizer.clip, 0.0);
  EXPECT_EQ(config.runtime.timeout, std::chrono::seconds(8));
  EXPECT_EQ(config.run.name, "small");
  EXPECT_NE(refusal({"train.steps=\"3\""}).find("remove the quotes"), std::string::npos);
}

// "./byte" is a file that is called like a word, also after it was written down and read again.
TEST(Load, FilesCalledLikeWords) {
  const std::string text =
      "model: {layers: 1, dim: 16, heads: 2, seq_len: 8}\n"
      "data: {tokenizer: ./byte, train: a.txt, val: ./none}\n"
      "train: {steps: 1, global_batch: 1}\n";
  const RunConfig first = load_config_text(text, "small.yaml", {}, 1).config;
  EXPECT_EQ(first.data.tokenizer, "./byte");
  EXPECT_EQ(first.data.val, "./none");
  const std::string again = resolved_yaml(first, {.folder = "."});
  const RunConfig second = load_config_text(again, "small.yaml", {}, 1).config;
  EXPECT_EQ(second.data.tokenizer, "./byte");
  EXPECT_EQ(second.data.val, "./none");
}

std::vector<std::string> warned(const std::vector<std::string>& overrides) {
  std::vector<std::string> all = overrides;
  all.emplace_back("schedule.warmup=1");
  return load_config_text(kSound, "dir/small.yaml", all, 1).warnings;
}

TEST(Warnings, OfARouterWithoutGradient) {
  EXPECT_TRUE(warned({}).empty());
  const auto renormalized = warned({"moe.router.top_k=1"});
  ASSERT_EQ(renormalized.size(), 1U);
  EXPECT_NE(renormalized[0].find("the LM loss has no gradient for the router and only balancing"),
            std::string::npos)
      << renormalized[0];
  EXPECT_EQ(warned({"moe.router={type: topk, top_k: 1, score: softmax_after}"}).size(), 1U);
  EXPECT_TRUE(warned({"moe.router={type: topk, top_k: 1, renormalize: false}"}).empty());
  const auto within = warned({"moe.router={type: smile, groups: 2, top_k: 1}"});
  ASSERT_EQ(within.size(), 1U);
  EXPECT_NE(within[0].find("gives the expert within a group the weight 1"), std::string::npos);
  EXPECT_TRUE(
      warned({"moe.router={type: smile, groups: 2, top_k: 1, renormalize: false}"}).empty());
  EXPECT_TRUE(warned({"moe.router={type: switch}"}).empty());
}

TEST(Warnings, OfLoadThatNothingBalances) {
  for (const char* router : {"topk", "switch", "st_moe"}) {
    const std::string type = std::string("moe.router={type: ") + router + "}";
    ASSERT_EQ(warned({type, "moe.balance=none"}).size(), 1U) << router;
    EXPECT_EQ(warned({type, "moe.balance=[{type: z, coef: 0.1}]"}).size(), 1U) << router;
    EXPECT_EQ(warned({type, "moe.balance=[{type: switch, coef: 0}]"}).size(), 1U) << router;
    EXPECT_TRUE(warned({type}).empty()) << router;
  }
  EXPECT_TRUE(warned({"moe.router={type: topk, bias_update: 0.001}", "moe.balance=none"}).empty());
  EXPECT_TRUE(warned({"moe.router={type: hash}", "moe.balance=none"}).empty());
}

TEST(Warnings, OfWhatCostsWithoutUse) {
  const auto all = warned({"moe.router.top_k=8"});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_NE(all[0].find("chooses all 8 experts"), std::string::npos) << all[0];
  // 32 tokens x 2 choices, 8 experts x max(4, ceil(64 x 0.5 / 8)) = 32 slots.
  const auto drops = warned({"moe.capacity_factor=0.5"});
  ASSERT_EQ(drops.size(), 1U);
  EXPECT_NE(drops[0].find("drops at least 32 of 64 choices"), std::string::npos) << drops[0];
  EXPECT_TRUE(warned({"moe.capacity_factor=1.0"}).empty());
  EXPECT_TRUE(warned({"moe.capacity_factor=0.5", "moe.min_capacity=8"}).empty());
  const auto never = warned({"moe.capacity_factor=100"});
  ASSERT_EQ(never.size(), 1U);
  EXPECT_NE(never[0].find("nothing is ever dropped"), std::string::npos) << never[0];
  EXPECT_TRUE(warned({"moe.capacity_factor=8"}).empty());
  EXPECT_EQ(warned({"moe.router.bias_update=0.2"}).size(), 1U);
  EXPECT_TRUE(warned({"moe.router.bias_update=0.01"}).empty());
}

TEST(Load, NoMoeSectionIsDense) {
  for (const RunConfig& config : {load({"moe=none"}), load({"moe=none", "model.ffn_dim=96"})}) {
    for (const auto& moe : config.model.moe) EXPECT_FALSE(moe.has_value());
  }
  EXPECT_EQ(load({"moe=none"}).model.ffn_dim, 192);  // 8/3 of 64, rounded up to 32
}

TEST(Load, RoutersByLayer) {
  const RunConfig config =
      load({"moe.router=[{type: topk, top_k: 1, layers: [0, 2]}, {type: hash, layers: [1, 3]}]"});
  EXPECT_EQ(config.model.moe[0]->router, "topk");
  EXPECT_EQ(config.model.moe[0]->router_options.integer("top_k"), 1);
  EXPECT_EQ(config.model.moe[1]->router, "hash");
  EXPECT_EQ(config.model.moe[0]->balance.size(), 1U);
  EXPECT_EQ(config.model.moe[1]->balance.size(), 0U);  // hash has no gradient for it
  EXPECT_NE(refusal({"moe.router=[{type: topk, layers: [0, 1]}]"}).find("no router serves"),
            std::string::npos);
  EXPECT_NE(refusal({"moe.router=[{type: topk, layers: [0, 1, 2, 3]}, {type: hash, layers: [3]}]"})
                .find("already served by moe.router[0]"),
            std::string::npos);
  EXPECT_NE(refusal({"moe.router={type: topk, layers: [0]}"}).find("moe.router.layers"),
            std::string::npos);
}

TEST(Load, LayersWithExperts) {
  const auto layers = [](const std::vector<std::string>& overrides) {
    std::string text;
    for (const auto& moe : load(overrides).model.moe) text += moe ? 'x' : '.';
    return text;
  };
  EXPECT_EQ(layers({}), "xxxx");
  EXPECT_EQ(layers({"moe.layers.every=2"}), ".x.x");
  EXPECT_EQ(layers({"moe.layers.first_dense=1"}), ".xxx");
  EXPECT_EQ(layers({"moe.layers={every: 2, first_dense: 1}"}), "..x.");
  EXPECT_EQ(layers({"moe.layers=[0]"}), "x...");
}

TEST(Load, GroupsAndTheirRules) {
  EXPECT_EQ(load({"moe.group=64"}).model.moe[0]->group.tokens, 64);
  const RunConfig across = load({"moe.group={across: batch, sequences: 2}"});
  EXPECT_EQ(across.model.moe[0]->group.kind, GroupRule::Kind::across_batch);
  EXPECT_NE(
      refusal({"moe.group=48"}).find("2 x 32 = 64 must be a multiple of it: 64 = 1 x 48 + 16"),
      std::string::npos);
  EXPECT_NE(refusal({"moe.group={across: batch, sequences: 3}"}).find("2 = 0 x 3 + 2"),
            std::string::npos);
}

TEST(Load, GroupsOfTheOptimizer) {
  EXPECT_TRUE(load({}).optimizer.parameter_groups.empty());
  EXPECT_TRUE(count_groups(load({})).empty());
  const RunConfig config =
      load({R"(optimizer.groups=[{match: "*.router.*", lr_scale: 0.5, weight_decay: 0},)"
            R"( {match: "layers.0.*", lr_scale: 2}, {match: "*norm*"}])",
            "optimizer.weight_decay=0.25"});
  ASSERT_EQ(config.optimizer.parameter_groups.size(), 3U);
  EXPECT_EQ(config.optimizer.parameter_groups[0].weight_decay, std::optional<double>(0.0));
  EXPECT_EQ(config.optimizer.parameter_groups[1].weight_decay, std::nullopt);
  const std::vector<GroupCount> counts = count_groups(config);
  ASSERT_EQ(counts.size(), 4U);
  // Four routers of 8 x 64. Of layer 0 two norms, q, k, v, o, and the experts' two tables, without
  // its router. Two norms of three layers and the last.
  EXPECT_EQ(counts[0].parameters, 4);
  EXPECT_EQ(counts[0].elements, 4 * 8 * 64);
  EXPECT_EQ(counts[0].weight_decay, 0.0);
  EXPECT_EQ(counts[1].parameters, 8);
  EXPECT_EQ(counts[1].elements, 2 * 64 + 2 * 64 * 64 + 2 * 32 * 64 + 8 * 64 * 128 + 8 * 64 * 64);
  EXPECT_EQ(counts[1].weight_decay, 0.25);
  EXPECT_EQ(counts[2].parameters, 7);
  EXPECT_EQ(counts[2].elements, 7 * 64);
  int64_t all = 0;
  for (const GroupCount& count : counts) all += count.elements;
  EXPECT_EQ(all, model_size(config.model).parameters);
}

TEST(Load, MixturesOfData) {
  const RunConfig config = load({"data.train=[{path: a.txt, weight: 2}, {path: /b/c.jsonl}]"});
  ASSERT_EQ(config.data.train.size(), 2U);
  EXPECT_EQ(config.data.train[0].weight, 2.0);
  EXPECT_EQ(config.data.train[1].path, "/b/c.jsonl");
  EXPECT_EQ(config.data.train[1].weight, 1.0);
}

// Every key of the schema, by hand set to its default, is accepted.
TEST(Load, TheDefaultOfEveryKeyIsLegal) {
  int tried = 0;
  for (const std::string& path : schema_paths()) {
    if (path.find("[]") != std::string::npos) continue;
    for (const Key& key : find_schema(path)->keys) {
      if (!key.has_default || path == "moe" || path.rfind("moe.layers", 0) == 0) continue;
      const std::string value = format_key_value(key, key.default_value);
      std::vector<std::string> overrides{path + "=" + value};
      if (!key.variant.empty()) {
        const std::string section = path.substr(0, path.rfind('.'));
        overrides.push_back(section + "." + key.variant_key + "=" + key.variant);
        if (key.variant == "expert_choice") overrides.emplace_back("moe.capacity_factor=1");
        overrides.emplace_back("moe.balance=none");
      }
      EXPECT_EQ(refusal(overrides), "") << path << " " << key.variant;
      ++tried;
    }
  }
  EXPECT_GT(tried, 60);
}

TEST(Load, HelpKnowsEveryKey) {
  for (const std::string& path : schema_paths()) {
    const std::string text = explain_key(path);
    EXPECT_NE(text.find(path), std::string::npos);
    for (const Key& key : find_schema(path)->keys) EXPECT_FALSE(key.help.empty()) << path;
  }
  EXPECT_NE(explain_key("top_k").find("moe.router.top_k"), std::string::npos);
  EXPECT_THROW(explain_key("modle"), Error);
}

TEST(Resolved, LoadsBackToTheSame) {
  const std::vector<std::vector<std::string>> cases{
      {},
      {"moe=none"},
      {"moe.router=[{type: topk, layers: [0, 2]}, {type: hash, layers: [1, 3]}]"},
      {"moe.group={across: batch, sequences: 2}", "optimizer={type: sgd, momentum: 0.9}"},
      {"data.train=[{path: 'odd name: # \"x\".txt', weight: 0.25}]", "run.name='true'"},
      {"optimizer.groups=[{match: '*.router.*', lr_scale: 0.5, weight_decay: 0}, {match: "
       "'*norm*'}]"},
      {"moe.layers=[1, 2]", "moe.balance=[]", "checkpoint.resume=never", "eval.every=0"},
      {"schedule={type: wsd, decay_fraction: 0.3}", "optimizer.eps=1e-12", "run.dir='a b'"}};
  for (const auto& overrides : cases) {
    const RunConfig first = load(overrides, 2);
    const std::string text = resolved_yaml(first, {.folder = "else/where"});
    const RunConfig second = load_config_text(text, "else/where/config.yaml", {}, 2).config;
    EXPECT_EQ(config_hash(first), config_hash(second));
    ASSERT_EQ(first.values.entries().size(), second.values.entries().size()) << text;
    for (size_t i = 0; i < first.values.entries().size(); ++i) {
      const ConfigValue& a = first.values.entries()[i];
      const ConfigValue& b = second.values.entries()[i];
      EXPECT_EQ(a.path, b.path);
      if (a.key->type != FieldType::path) {
        EXPECT_EQ(a.value, b.value) << a.path;
      }
    }
    EXPECT_EQ(second.data.train[0].path.empty(), false);
    const RunConfig alone = load_config_text(resolved_yaml(first, {.for_checkpoint = true}),
                                             "x/y.h5", {}, 0, Purpose::eval)
                                .config;
    EXPECT_EQ(config_hash(first), config_hash(alone));
  }
}

TEST(Resolved, DoesNotDependOnTheLayoutInCheckpoints) {
  const auto text = [](const std::vector<std::string>& overrides, int world) {
    return resolved_yaml(load(overrides, world), {.for_checkpoint = true});
  };
  EXPECT_EQ(text({}, 1), text({"train.micro_batch=1"}, 4));
  EXPECT_EQ(text({}, 1), text({"parallel.ep=2", "runtime.threads=3"}, 2));
  EXPECT_NE(text({}, 1), text({"model.dim=32"}, 1));
}

TEST(Load, BytesAreReadAsTheyAreStored) {
  EXPECT_EQ(load({"data.train=bytes:caf%E9/a.txt"}).data.train[0].path, "caf\xe9/a.txt");
  EXPECT_EQ(load({"data.train=caf\xe9/a #1.txt"}).data.train[0].path, "caf\xe9/a #1.txt");
  EXPECT_EQ(load({"run.name=a\nb"}).run.name, "a\nb");
  EXPECT_NE(refusal({"data.train=bytes:100%"}).find("write a byte as % and two"),
            std::string::npos);
  EXPECT_NE(refusal({"run.name=bytes:%00"}).find("write a byte as % and two"), std::string::npos);
}

TEST(Hash, ChangesWithWhatIsTrainedOnly) {
  const std::string hash = config_hash(load({}));
  EXPECT_EQ(hash, config_hash(load({"train.steps=99", "logging.every=1", "parallel.ep=2"}, 2)));
  for (const char* change :
       {"run.seed=8", "model.dim=32", "optimizer.lr=1e-4", "moe.experts=16", "moe.router.top_k=1",
        "moe.balance[0].coef=0.02", "data.train=b.txt"}) {
    EXPECT_NE(hash, config_hash(load({change}))) << change;
  }
}

}  // namespace
}  // namespace troupe
