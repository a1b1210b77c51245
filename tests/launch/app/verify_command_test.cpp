// `troupe verify`: the certificate and its code.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "launch/app/command_table.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

using nlohmann::json;

class VerifyCommand : public testing::Test {
 protected:
  VerifyCommand() {
    std::ofstream(config_) << R"(
model: {layers: 2, dim: 16, heads: 4, kv_heads: 2, ffn_dim: 16, seq_len: 16, vocab: 40}
moe: {experts: 4, ffn_dim: 8, router: {type: topk, top_k: 2}, layers: {every: 2}}
data: {tokenizer: byte, train: none.txt}
train: {steps: 10, global_batch: 4, micro_batch: 1}
run: {dir: )" << dir_.path()
                           << "/run}\n";
  }
  int run(const std::string& layouts) {
    testing::internal::CaptureStdout();
    const std::vector<std::string> args{config_, more_, "--ranks", "2", "--layouts", layouts};
    int code = -1;
    try {
      code = find_command("verify")->run(args);
    } catch (const Error& error) {
      message_ = error.what();
      code = static_cast<int>(error.code());
    }
    table_ = testing::internal::GetCapturedStdout();
    return code;
  }
  json certificate() const {
    std::ifstream file(dir_.path() + "/run/certificate.json");
    return json::parse(file);
  }
  static std::set<std::string> keys(const json& object) {
    std::set<std::string> out;
    for (const auto& [key, value] : object.items()) out.insert(key);
    return out;
  }

  test::TemporaryDirectory dir_;
  std::string config_ = dir_ / "verify.yaml";
  std::string more_ = "run.seed=1";
  std::string table_;
  std::string message_;
};

TEST_F(VerifyCommand, WritesACertificate) {
  EXPECT_EQ(run("tp=2,ep=2;dp=2,zero=2;pp=4;tp=2,overlap=2"), 0) << message_;
  const json found = certificate();
  EXPECT_EQ(keys(found),
            (std::set<std::string>{"generator", "version", "config_hash", "seed", "precision",
                                   "tolerance", "worst", "layouts", "refused"}));
  EXPECT_EQ(found["precision"], "f64");
  EXPECT_EQ(found["tolerance"], 1e-10);
  EXPECT_LT(found["worst"], 1e-10);
  ASSERT_EQ(found["layouts"].size(), 3U);
  ASSERT_EQ(found["refused"].size(), 1U);
  const json& first = found["layouts"][0];
  EXPECT_EQ(keys(first), (std::set<std::string>{"layout", "worst", "tensor", "verdict"}));
  EXPECT_EQ(keys(found["refused"][0]), (std::set<std::string>{"layout", "reason"}));
  EXPECT_EQ(first["layout"], json::parse(R"({"dp": 1, "tp": 2, "sp": true, "cp": 1, "pp": 1,
      "virtual_stages": 1, "ep": 2, "etp": 1, "zero": 0, "schedule": "1f1b", "cp_kind": "ring",
      "ep_kind": "flat", "ranks_per_node": "auto"})"));
  EXPECT_EQ(first["verdict"], "same");
  EXPECT_NE(first["tensor"], "");
  EXPECT_EQ(found["refused"][0]["layout"]["pp"], 4);
  EXPECT_NE(table_.find("3 layouts run, 1 refused, 0 differ"), std::string::npos) << table_;
}

// Terms of the whole batch ask for gpipe, on the one rank of the reference too.
TEST_F(VerifyCommand, TermsOfTheWholeBatch) {
  more_ = "moe.balance=[{type: switch, coef: 0.1, scope: global_batch_exact}]";
  EXPECT_EQ(run("dp=2,schedule=gpipe;pp=2,schedule=gpipe;dp=2"), 0) << message_;
  EXPECT_NE(table_.find("2 layouts run, 1 refused, 0 differ"), std::string::npos) << table_;
}

TEST_F(VerifyCommand, SaysWhatIsWrongWithAList) {
  const auto refused = [&](const std::string& layouts, const std::string& word) {
    EXPECT_EQ(run(layouts), static_cast<int>(ExitCode::usage)) << layouts;
    EXPECT_NE(message_.find(word), std::string::npos) << message_;
  };
  refused("tp", "KEY=VALUE");
  refused("tp=2;pp", "'pp'");
  refused("tq=2", "did you mean");
  refused("zero=4", "0 to 3");
  refused("sp=yes", "true or false");
  refused("schedule=2f2b", "help parallel.schedule");
  refused("tp=2x", "tp=2x");
  refused("tp=2,tp=1", "twice");
  refused(";", "no layout");
}

}  // namespace
}  // namespace troupe
