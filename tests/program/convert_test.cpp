// ckpt import and export, and training that begins with weights (model.init), as users run them.
#include <filesystem>
#include <fstream>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Convert : public TinyRun {
 protected:
  // A trained model that a class of Hugging Face's library can say.
  void train_mixtral() {
    const Outcome trained = run(alone(train("run", {"train.steps=4", "moe.layers.first_dense=0"})));
    ASSERT_EQ(trained.code, 0) << trained.err;
  }
  Outcome ckpt(std::vector<std::string> words) {
    words.insert(words.begin(), "ckpt");
    return run(alone(words));
  }
  static void expect_failed(const Outcome& outcome, int code, const std::string& text) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
  }
};

TEST_F(Convert, OutAndInAgainAndTrainedOn) {
  train_mixtral();
  const Outcome exported = ckpt({"export", path("run"), "--format", "hf", "--out", path("hf")});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_NE(exported.out.find("MixtralForCausalLM"), std::string::npos) << exported.out;
  const Outcome shown = ckpt({"show", path("hf")});
  EXPECT_NE(shown.out.find("ckpt import"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("model.layers.1.block_sparse_moe.experts.3.w2.weight"),
            std::string::npos);
  const Outcome imported =
      ckpt({"import", path("hf"), "--out", path("m.h5"), "--config", path("m.yaml")});
  ASSERT_EQ(imported.code, 0) << imported.err;
  // Every tensor of the weights is the one that was trained.
  const auto diff =
      nlohmann::json::parse(ckpt({"diff", checkpoint("run", 4), path("m.h5"), "--json"}).out);
  for (const auto& tensor : diff["tensors"]) {
    const std::string name = tensor["name"];
    EXPECT_NE(name.rfind("parameters/", 0), 0) << tensor;
  }
  EXPECT_NE(imported.err.find("tokenizer"), std::string::npos) << "the folder has none";
  expect_failed(run(alone({"generate", path("m.h5"), "--tokens", "5"})), 3, "YOUR-TOKENIZER");

  // The configuration that it wrote trains on, on two ranks, and a second start goes on.
  const std::vector<std::string> on{
      "train",         path("m.yaml"),  "data.train=" + path("text.txt"), "data.tokenizer=byte",
      "train.steps=2", "parallel.ep=2", "run.dir=" + path("on"),          "schedule.warmup=1"};
  const Outcome begun = run(under_mpirun(2, on));
  ASSERT_EQ(begun.code, 0) << begun.err;
  std::vector<std::string> more = on;
  more[4] = "train.steps=4";
  const Outcome resumed = run(under_mpirun(2, more));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(rows("on").back()["step"], 4);
  const Outcome lineage = ckpt({"show", path("on"), "--config"});
  EXPECT_NE(lineage.out.find("# Descends from "), std::string::npos) << lineage.out;
  EXPECT_NE(lineage.out.find("m.h5"), std::string::npos);
  // The first loss is that of the trained model, not of drawn weights.
  EXPECT_LT(rows("on")[0]["loss"].get<double>(), 5.545);
}

TEST_F(Convert, WhatDoesNotFitIsRefused) {
  train_mixtral();
  expect_failed(run(alone(train("other", {"model.init=" + path("run"), "model.dim=32"}))), 2,
                "model.dim: 16 there, 32 here");
  expect_failed(run(alone(train("other", {"model.init=" + path("absent")}))), 4, "absent");
  // A model that no class can say, with what each lacks.
  ASSERT_EQ(run(alone(train("mixed", {"train.steps=1"}))).code, 0);
  const Outcome lacking = ckpt({"export", path("mixed"), "--out", path("hf")});
  expect_failed(lacking, 2, "mixtral has not: layers without experts");
  expect_failed(ckpt({"export", path("run"), "--out", path("hf"), "--family", "llama"}), 2,
                "llama has not: experts");
  EXPECT_FALSE(fs::exists(path("hf")));
}

TEST_F(Convert, NothingOfOthersIsOverwritten) {
  train_mixtral();
  write_text(path("mine"), "precious");
  expect_failed(ckpt({"export", path("run"), "--out", path("mine")}), 2, "exists");
  ASSERT_EQ(ckpt({"export", path("run"), "--out", path("hf")}).code, 0);
  expect_failed(ckpt({"export", path("run"), "--out", path("hf")}), 2, "exists");
  expect_failed(ckpt({"import", path("hf"), "--out", path("mine")}), 2, "exists");
  EXPECT_EQ(read_text(path("mine")), "precious");
  // What an export that was killed left is taken away; a folder of somebody else is not.
  fs::create_directory(path("new.export"));
  write_text(path("new.export/precious"), "mine");
  expect_failed(ckpt({"export", path("run"), "--out", path("new")}), 2, "new.export exists");
  write_text(path("new.export/.troupe-export"), "");
  EXPECT_EQ(ckpt({"export", path("run"), "--out", path("new")}).code, 0);
  EXPECT_FALSE(fs::exists(path("new.export")));
  EXPECT_FALSE(fs::exists(path("new/precious")));
}

TEST_F(Convert, DamagedSourcesAndCheckpointsAreNamed) {
  train_mixtral();
  ASSERT_EQ(ckpt({"export", path("run"), "--out", path("hf")}).code, 0);
  expect_failed(ckpt({"import", path("absent"), "--out", path("a.h5")}), 4, "absent");
  expect_failed(ckpt({"import", path("run"), "--out", path("a.h5")}), 4, "model.safetensors");
  expect_failed(ckpt({"import", checkpoint("run", 4), "--out", path("a.h5")}), 2, "model.init");
  const std::string whole = read_text(path("hf/model.safetensors"));
  write_text(path("hf/model.safetensors"), whole.substr(0, whole.size() - 1));
  expect_failed(ckpt({"import", path("hf"), "--out", path("a.h5")}), 4, "stands at bytes");
  EXPECT_FALSE(fs::exists(path("a.h5")));
  // One bit of a tensor here: its digest tells, and nothing is left behind.
  const std::string file = checkpoint("run", 4);
  std::string bytes = read_text(file);
  const size_t weights = bytes.find(whole.substr(whole.size() - 64));
  ASSERT_NE(weights, std::string::npos);
  bytes[weights] = static_cast<char>(bytes[weights] ^ 1);
  write_text(file, bytes);
  const Outcome damaged = ckpt({"export", path("run"), "--out", path("again")});
  expect_failed(damaged, 4, "parameters/layers.1.moe.experts.down");
  EXPECT_FALSE(fs::exists(path("again")));
  EXPECT_FALSE(fs::exists(path("again.export")));
}

}  // namespace
}  // namespace troupe::program
