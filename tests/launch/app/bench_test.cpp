// The benchmarks beside the machine's limits, on small things.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/io/disk_rate.h"
#include "core/kernels/cpu/memory_rate.h"
#include "launch/app/command_table.h"
#include "launch/bench/checkpoint_bench.h"
#include "launch/bench/generate_bench.h"
#include "launch/bench/guarded_directory.h"
#include "launch/bench/machine_load.h"
#include "launch/bench/nodes_bench.h"
#include "launch/bench/routing_bench.h"
#include "launch/bench/tokenizer_bench.h"
#include "launch/config/load.h"
#include "launch/job/emulated_hosts.h"
#include "launch/training/machine_rate.h"
#include "models/families/lookup/configured_model.h"
#include "models/verify/layout_run.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("troupe-bench-test-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

TEST(Rates, AreThoseOfWorkThatWasDone) {
  const auto device = Device::cpu(2);
  EXPECT_GT(kernels::cpu::read_rate(device->stream(), 1 << 20, 0.01), 0);
  EXPECT_GT(kernels::cpu::read_rate(device->stream(), 100, 0.001), 0);
  const Folder folder;
  const DiskRate rate = disk_rate(folder.path.string(), 100000);
  EXPECT_GT(rate.write, 0);
  EXPECT_GT(rate.read, 0);
  EXPECT_TRUE(fs::is_empty(folder.path));
  EXPECT_THROW(disk_rate((folder.path / "none").string(), 1000), Error);
}

// The bytes of a token by hand: every weight once, of the experts only those that it went to.
TEST(GenerateBench, CountsTheBytesOfAToken) {
  run_ranks(1, [](int, const std::shared_ptr<Communicator>& world) {
    const ModelConfig config = laws::small_engine(DType::f32, "topk").model;
    const auto device = Device::cpu(1);
    const Mesh mesh(MeshShape::data_expert(1, 1), world);
    const auto model = make_model(config, mesh, device, 1);
    const GenerateBench bench = bench_generate(*model, device->stream(), 100, 2);
    EXPECT_EQ(bench.prompt_tokens, 2);
    EXPECT_EQ(bench.tokens, 6);  // what the window of 8 leaves
    const MoEConfig& moe = *config.moe[1];
    const int64_t attention = 2 * config.dim * config.dim + 2 * config.dim * 6;
    const int64_t common = 2 * attention + 3 * config.dim * config.ffn_dim +
                           3 * config.dim * moe.shared_ffn_dim + moe.experts * config.dim +
                           5 * config.dim + config.vocab * config.dim + config.dim;
    const int64_t expert = 3 * config.dim * moe.ffn_dim;
    EXPECT_EQ(bench.weight_bytes, static_cast<double>(4 * (common + 2 * expert)));
    EXPECT_EQ(bench.model_bytes, 4 * (common + moe.experts * expert));
    EXPECT_EQ(bench.cache_bytes, (2 + 3.5) * 2 * 2 * 1 * 6 * 4);
    EXPECT_NEAR(bench.bound_tokens_per_s,
                bench.read_rate / (bench.weight_bytes + bench.cache_bytes), 1e-6);
    EXPECT_GT(bench.tokens_per_s, 0);
    EXPECT_LE(bench.tokens_per_s_min, bench.tokens_per_s);
  });
}

TEST(TokenizerBench, TimesTheTextThatItIsGiven) {
  const auto bytes = load_tokenizer("byte");
  const std::string text = text_of_tokens(*bytes, 5000);
  EXPECT_EQ(text.size(), 5000U);
  EXPECT_EQ(text, text_of_tokens(*bytes, 5000));
  const TokenizerBench bench = bench_tokenizer(*bytes, text, 3);
  EXPECT_EQ(bench.text_bytes, 5000);
  EXPECT_EQ(bench.tokens, 5000);
  for (const double rate :
       {bench.encode_rate, bench.decode_rate, bench.byte_encode_rate, bench.copy_rate}) {
    EXPECT_GT(rate, 0);
  }
}

TEST(CheckpointBench, LeavesNothing) {
  const Folder folder;
  RankRuntime runtime;
  RunConfig config = load({}, 1);
  resolve_vocab(config, 256);
  runtime.configure({.threads = 1, .timeout = std::chrono::minutes(1)});
  const std::string place = (folder.path / "not/there").string();
  const CheckpointBench bench = bench_checkpoint(config, runtime, place, 2);
  EXPECT_EQ(bench.directory, folder.path.string());
  EXPECT_GT(bench.file_bytes, 100000);
  for (const double rate : {bench.save_rate, bench.load_rate, bench.verify_rate,
                            bench.disk_write_rate, bench.disk_read_rate}) {
    EXPECT_GT(rate, 0);
  }
  EXPECT_TRUE(fs::is_empty(folder.path));
}

TEST(MachineRates, AreOfAllRanksTogetherAndTheSameOnEach) {
  std::vector<MachineRates> rates(2);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    rates[static_cast<size_t>(rank)] =
        measure_rates(DType::f32, {{64, 64, 64}, {96, 32, 64}}, *world, Device::cpu(1));
  });
  EXPECT_GT(rates[0].gemm, 0);
  EXPECT_GE(rates[0].fma_peak, rates[0].gemm);
  EXPECT_EQ(rates[0].gemm, rates[1].gemm);
  EXPECT_EQ(rates[0].fma_peak, rates[1].fma_peak);
  EXPECT_EQ(rates[0].shape.m, rates[1].shape.m);
}

TEST(MachineRates, TheBetterOfEachCounts) {
  const MachineRates a{.fma_peak = 3, .gemm = 1, .shape = {1, 1, 1}};
  const MachineRates b{.fma_peak = 2, .gemm = 2, .shape = {2, 2, 2}};
  for (const MachineRates& best : {best_of(a, b), best_of(b, a)}) {
    EXPECT_EQ(best.fma_peak, 3);
    EXPECT_EQ(best.gemm, 2);
    EXPECT_EQ(best.shape.m, 2);
  }
}

TEST(MachineLoad, SaysWhyAMachineIsBusy) {
  EXPECT_EQ(MachineLoad{}.reasons(), "");
  EXPECT_EQ(
      (MachineLoad{.switches_per_s = 50, .waiting = 0.05, .steal = 0.001, .gemm_of_peak = 0.85}
           .reasons()),
      "");
  EXPECT_EQ((MachineLoad{.switches_per_s = 200, .waiting = 0.4, .steal = 0.05, .gemm_of_peak = 0.6}
                 .reasons()),
            "200 involuntary context switches a second and thread, threads waited 40 % of the time "
            "for a core, the host took 5 % of the cores' time, products at 0.60 of the peak");
}

TEST(MachineLoad, IsThatOfTheBusiestRank) {
  std::vector<MachineLoad> seen(2);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const LoadWatch watch(1);
    seen[static_cast<size_t>(rank)] = watch.since(*world, Device::cpu(1));
  });
  EXPECT_GE(seen[0].switches_per_s, 0);
  EXPECT_GE(seen[0].waiting, 0);
  EXPECT_GE(seen[0].steal, 0);
  EXPECT_LE(seen[0].steal, 1);
  EXPECT_EQ(seen[0].switches_per_s, seen[1].switches_per_s);
  EXPECT_EQ(seen[0].waiting, seen[1].waiting);
}

// A small model of one rank; the loads are counted, not timed.
TEST(RoutingBench, ComparesEachRoutingWithTheBalancedOne) {
  RankRuntime runtime;
  RunConfig config = load_config(TROUPE_SOURCE_DIR "/configs/bench/moe_8x2.yaml",
                                 {"model.layers=1", "model.dim=64", "model.heads=2",
                                  "model.kv_heads=1", "moe.ffn_dim=32", "model.seq_len=256"},
                                 1)
                         .config;
  runtime.configure({.threads = 1, .timeout = std::chrono::minutes(1)});
  const std::vector<RoutingBench> rows = bench_routings(config, runtime, 1, 2);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].routing, "balanced");
  EXPECT_EQ(rows[1].routing, "natural");
  EXPECT_EQ(rows[2].routing, "zipf");
  EXPECT_DOUBLE_EQ(rows[0].of_balanced, 1.0);
  EXPECT_DOUBLE_EQ(rows[0].expert_load_max_over_mean, 1.0);
  EXPECT_GT(rows[1].expert_load_max_over_mean, 1.0);
  // Of 8 shares that fall as 1 / (e + 1) the first is 0.37 of a draw, and 0.63 of the pairs of two
  // different ones hold it: 2.5 times its eighth of all.
  EXPECT_NEAR(rows[2].expert_load_max_over_mean, 2.52, 0.2);
  for (const RoutingBench& row : rows) {
    EXPECT_GT(row.of_balanced, 0);
    EXPECT_LE(row.step_ms_min, row.step_ms);
    EXPECT_LE(row.step_ms, row.step_ms_max);
    EXPECT_DOUBLE_EQ(row.rank_load_max_over_mean, 1.0);
  }
  config.model.moe.assign(config.model.moe.size(), std::nullopt);
  EXPECT_THROW(bench_routings(config, runtime, 1, 1), Error);
}

// What the comments of the samples say: only the routers differ.
TEST(BenchSamples, HaveEqualActiveCompute) {
  const auto flops = [](const std::string& name, int64_t& router) {
    const RunConfig config =
        load_config(TROUPE_SOURCE_DIR "/configs/bench/" + name + ".yaml", {}, 1).config;
    router = model_size(config.model).router;
    const double tokens = static_cast<double>(config.train.global_batch * config.model.seq_len);
    return training_flops(config.model, config.train.global_batch) -
           6.0 * static_cast<double>(router) * tokens;
  };
  int64_t dense = 0;
  int64_t few = 0;
  int64_t many = 0;
  const double expected = flops("dense", dense);
  EXPECT_EQ(flops("moe_8x2", few), expected);
  EXPECT_EQ(flops("moe_64x8", many), expected);
  EXPECT_EQ(dense, 0);
  EXPECT_EQ(few, 4 * 8 * 512);
  EXPECT_EQ(many, 4 * 64 * 512);
}

TEST(GuardedDirectory, IsGoneWithItsProcessHoweverThatEnds) {
  const Folder folder;
  { const GuardedDirectory unused(folder.path, "bench"); }
  EXPECT_TRUE(fs::is_empty(folder.path));
  for (const int signal : {SIGKILL, SIGTERM, SIGINT}) {
    const pid_t child = ::fork();
    if (child == 0) {
      const GuardedDirectory directory(folder.path, "bench");
      std::ofstream(directory.path() + "/file") << "bytes";
      ::signal(signal, SIG_DFL);
      ::raise(signal);
      ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    for (int i = 0; i < 1000 && !fs::is_empty(folder.path); ++i) ::usleep(10'000);
    EXPECT_TRUE(fs::is_empty(folder.path)) << "after signal " << signal;
  }
  EXPECT_THROW(GuardedDirectory(folder.path / "not/there", "bench"), Error);
}

// Two nodes of two ranks as threads: what crosses is counted, not estimated, so it is the same on
// every machine.
TEST(NodesBench, CountsWhatCrosses) {
  run_ranks(4, [](int, const std::shared_ptr<Communicator>& world) {
    RunConfig config =
        load_config(TROUPE_SOURCE_DIR "/configs/bench/moe_nodes.yaml",
                    {"parallel.ranks_per_node=2", "train.steps=2", "eval.tokens=512"}, 4)
            .config;
    TrainingData data = open_training_data(config);
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const NodesBench bench = bench_nodes(config, data, world, device, 1);
    EXPECT_EQ(bench.nodes, 2);
    ASSERT_EQ(bench.layer.size(), 7U);
    ASSERT_EQ(bench.model.size(), 3U);
    EXPECT_LE(bench.of_expert_rows, 0.27);
    EXPECT_GE(bench.of_expert_rows, 0.24);
    EXPECT_LE(bench.of_rank_rows, 0.57);
    EXPECT_GE(bench.of_rank_rows, 0.52);
    const double flat = bench.layer[2].bytes;
    EXPECT_LE(bench.layer[4].bytes, 0.28 * flat);  // smile
    EXPECT_GE(bench.layer[4].bytes, 0.24 * flat);
    // Each rank talks to two ranks of the other node: counts, rows and gate weights, rows back, and
    // the gradients of the last three. With the hop it talks to one, and sends marks besides.
    EXPECT_EQ(bench.layer[2].messages, 4 * 2 * 7);
    EXPECT_EQ(bench.layer[3].messages, 4 * 8);
    EXPECT_EQ(bench.layer[4].messages, 4 * 8);
    // With one expert a token crosses once in any case; only messages are saved.
    EXPECT_GE(bench.layer[6].bytes, 0.95 * bench.layer[5].bytes);
    EXPECT_EQ(bench.layer[5].messages, 4 * 2 * 7);
    EXPECT_EQ(bench.layer[6].messages, 4 * 8);
    for (const auto& rows : {bench.layer, bench.model}) {
      for (const NodesRow& row : rows) EXPECT_GT(row.ms, 0);
    }
    // The same sum in another order; another router.
    EXPECT_NEAR(bench.model[1].loss, bench.model[0].loss, 1e-4);
    EXPECT_NE(bench.model[2].loss, bench.model[0].loss);
    EXPECT_LT(bench.model[1].bytes, bench.model[0].bytes);
    EXPECT_LT(bench.model[2].bytes, bench.model[1].bytes);
    config.parallel.ranks_per_node = 4;  // one node: nothing crosses
    EXPECT_THROW(bench_nodes(config, data, world, device, 1), Error);
  });
}

TEST(EmulatedHosts, AreFoundBesideTheProgram) {
  EXPECT_EQ(fs::canonical(file_beside_program("launch/scripts/emulated-hosts", 2)),
            fs::canonical(TROUPE_SOURCE_DIR "/launch/scripts/emulated-hosts"));
  EXPECT_EQ(file_beside_program("launch/scripts/no-such-script", 2), "");
}

// What a benchmark does not read is refused, before anything is measured.
TEST(BenchCommand, RefusesWhatHasNoEffect) {
  const auto refused = [](const std::vector<std::string>& words) -> std::string {
    try {
      find_command("bench")->run(words);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(refused({"generate", "x.yaml", "--steps", "3"}).find("--steps has no effect here"),
            std::string::npos);
  EXPECT_NE(refused({"tokenizer", "byte", "--dir", "x"}).find("--dir has no effect"),
            std::string::npos);
  EXPECT_NE(refused({"gemm", "x"}).find("takes no 'x'"), std::string::npos);
  EXPECT_NE(refused({"checkpoint"}).find("name a CONFIG"), std::string::npos);
  EXPECT_NE(refused({"stp"}).find("did you mean step?"), std::string::npos);
  EXPECT_NE(refused({}).find("step, gemm, generate, tokenizer, checkpoint, moe_nodes"),
            std::string::npos);
  EXPECT_NE(refused({"moe_nodes", "--hosts", "1"}).find("no number of hosts from 2 to 64"),
            std::string::npos);
  EXPECT_NE(refused({"step", "x.yaml", "--rate", "1mbit"}).find("--rate has no effect here"),
            std::string::npos);
  EXPECT_NE(refused({"tokenizer", "byte", "x"}).find("not also 'x'"), std::string::npos);
}

}  // namespace
}  // namespace troupe
