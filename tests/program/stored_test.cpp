// What a run stores can be read again, wherever it was made and whatever that place is called.
#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Stored : public TinyRun {
 protected:
  // The program, started in a folder.
  static Outcome run_in(const std::string& folder, const std::vector<std::string>& words) {
    std::vector<std::string> line{"env", "-C", folder};
    for (const std::string& word : alone(words)) line.push_back(word);
    return run(line);
  }
  static bool is_utf8(const std::string& text) {
    try {
      return !json(text).dump().empty();
    } catch (const json::exception&) {
      return false;
    }
  }
};

TEST_F(Stored, ARunInAFolderOfAnyName) {
  for (const std::string name : {"caf\xe9", "a\nb \x1b[1m", "100%25 '\"\\ #:", "bytes:%41"}) {
    SCOPED_TRACE(name);
    const std::string place = path(name);
    fs::create_directory(place);
    fs::copy(path("text.txt"), place + "/text.txt");
    fs::copy(path("tiny.yaml"), place + "/tiny.yaml");
    const Outcome trained =
        run_in(place, {"train", "tiny.yaml", "run.name=x", "eval.every=0", "train.steps=4"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    EXPECT_TRUE(is_utf8(read_text(place + "/run/config.resolved.yaml")));
    EXPECT_TRUE(is_utf8(read_text(place + "/run/metrics.jsonl")));

    const Outcome here = run_in(place, {"eval", "run", "--json"});
    ASSERT_EQ(here.code, 0) << here.err;
    EXPECT_EQ(run_in(place, {"generate", "run", "--tokens", "3"}).code, 0);
    EXPECT_EQ(run_in(place, {"report", place + "/run"}).code, 0);
    EXPECT_TRUE(is_utf8(read_text(place + "/run/report.html")));
    const Outcome shown = run_in(place, {"ckpt", "show", place + "/run", "--json"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_TRUE(json::accept(shown.out)) << shown.out;
    const Outcome checked = run_in(place, {"check", place + "/run/config.resolved.yaml", "--json"});
    EXPECT_EQ(checked.code, 0) << checked.err;
    EXPECT_TRUE(json::accept(checked.out)) << checked.out;

    // From a copy elsewhere, and of that one without the folder where it was made.
    fs::copy(place + "/run", path("copy"), fs::copy_options::recursive);
    const Outcome there = run(alone({"eval", path("copy"), "--json"}));
    EXPECT_EQ(there.code, 0) << there.err;
    EXPECT_EQ(json::parse(there.out)["nats_per_token"], json::parse(here.out)["nats_per_token"]);
    const Outcome resumed =
        run_in(place, {"train", "tiny.yaml", "run.name=x", "eval.every=0", "train.steps=6"});
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_NE(resumed.err.find("step 4"), std::string::npos) << resumed.err;
    fs::rename(place, path("gone"));
    const Outcome lost = run(alone({"eval", path("copy"), "--text", path("text.txt"), "--json"}));
    EXPECT_EQ(lost.code, 0) << lost.err;
    fs::remove_all(path("copy"));
    fs::remove_all(path("gone"));
  }
}

TEST_F(Stored, TokenFilesOfAnyName) {
  const std::string prefix = path("tok\xe9ns");
  const Outcome built = run(
      alone({"data", "build", path("text.txt"), "--tokenizer", "byte", "--out", prefix, "--json"}));
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(json::parse(built.out)["prefix"], "bytes:" + path("tok%E9ns"));
  const Outcome seen = run(alone({"data", "inspect", prefix, "--json"}));
  EXPECT_EQ(seen.code, 0) << seen.err;
  EXPECT_TRUE(json::accept(seen.out));
  EXPECT_EQ(run(alone({"data", "verify", prefix, "--json"})).code, 0);
}

}  // namespace
}  // namespace troupe::program
