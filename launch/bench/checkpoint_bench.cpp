#include "launch/bench/checkpoint_bench.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/disk_rate.h"
#include "launch/bench/guarded_directory.h"
#include "launch/bench/median.h"
#include "launch/config/engine_config.h"
#include "launch/config/resolved.h"
#include "launch/training/trainer.h"
#include "models/engine/drawn_batch.h"
#include "parallel/checkpoint/async_saver.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/agreement.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kWarmup = 3;  // steps
constexpr int64_t kPlain = 5;   // steps before each save

// Made by the leader, removed by it.
class BenchDirectory {
 public:
  BenchDirectory(const std::string& wanted, Communicator& world) : leader_(world.rank() == 0) {
    const auto failure = attempt([&] {
      if (leader_) make(wanted);
    });
    agree(failure, world, "bench directory");
    path_ = broadcast_text(path_, 0, world, "bench directory");
  }
  BenchDirectory(const BenchDirectory&) = delete;
  BenchDirectory& operator=(const BenchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  void make(const std::string& wanted) {
    fs::path parent = fs::absolute(wanted);
    std::error_code ignored;
    while (!fs::is_directory(parent, ignored) && parent.has_parent_path() &&
           parent != parent.root_path()) {
      parent = parent.parent_path();
    }
    directory_.emplace(parent.string(), "troupe-bench");
    path_ = directory_->path();
  }

  bool leader_;
  std::string path_;
  std::optional<GuardedDirectory> directory_;
};

// Seconds of collective work, the same on every rank: the slowest one's are what a user waits.
template <typename Work>
double seconds_of(Communicator& world, Work&& work) {
  world.barrier("bench").finish();
  const auto begin = Clock::now();
  work();
  world.barrier("bench").finish();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Steps with and without a save beside them, in turns, so that both meet the same machine.
void time_steps(const RunConfig& config, TrainingEngine& engine, RankRuntime& runtime,
                const std::string& directory, int64_t repeats,
                const checkpoint::SaveOptions& options, CheckpointBench& out) {
  Communicator& world = *runtime.world();
  checkpoint::AsyncSaver saver(runtime.world(), runtime.device());
  int64_t step = 0;
  const auto train = [&] {
    std::vector<TokenBatch> batches;
    for (int64_t micro = 0; micro < engine.micro_batches(); ++micro) {
      batches.push_back(
          drawn_batch(config.model, step, config.train.global_batch,
                      micro_batch_samples(engine.config(), engine.mesh().size(Axis::dp),
                                          engine.mesh().coordinate(Axis::dp), micro)));
    }
    const StepResult result =
        engine.step(step++, [&](int64_t micro) { return batches[static_cast<size_t>(micro)]; },
                    {.stop = false, .ready = saver.ready()});
    if (result.save_ready) saver.advance();
  };
  for (int64_t i = 0; i < kWarmup; ++i) train();
  std::vector<double> plain, saving, copies;
  for (int64_t i = 0; i < repeats; ++i) {
    for (int64_t j = 0; j < kPlain; ++j) plain.push_back(seconds_of(world, train));
    State state = engine.state();
    state.scalars = {{"step", step}};
    copies.push_back(seconds_of(world, [&] { saver.start(directory, i + 1, 1, state, options); }));
    while (saver.busy()) saving.push_back(seconds_of(world, train));
    log::info("saved beside steps {} of {}: {} steps of {:.0f} ms so far", i + 1, repeats, step,
              median(plain) * 1e3);
  }
  double sum = 0;
  for (const double seconds : saving) sum += seconds;
  for (const double seconds : copies) sum += seconds;
  out.step_seconds = median(plain);
  out.copy_seconds = median(copies);
  out.saving_step_ratio = median(saving) / out.step_seconds;
  out.saving_mean_ratio = sum / (static_cast<double>(saving.size()) * out.step_seconds);
  out.steps_per_save = static_cast<double>(saving.size()) / static_cast<double>(repeats);
}

}  // namespace

CheckpointBench bench_checkpoint(const RunConfig& config, RankRuntime& runtime,
                                 const std::string& directory, int64_t repeats) {
  Communicator& world = *runtime.world();
  const Mesh mesh(config.parallel, runtime.world());
  TrainingEngine engine(engine_config(config), mesh, runtime.device());
  State state = engine.state();
  state.scalars = {{"step", int64_t{0}}, {"tokens", int64_t{0}}};
  checkpoint::SaveOptions options;
  options.config = resolved_yaml(config, {.for_checkpoint = true});
  options.shard_above = std::numeric_limits<int64_t>::max();  // one file, as the disk's own rate

  log::info(
      "saving, loading and verifying {} times, then {} steps and more until {} saves are done",
      repeats, kWarmup + repeats * kPlain, repeats);
  const BenchDirectory place(directory.empty() ? config.run.dir : directory, world);
  const std::string file = place.path() + "/step-00000000.h5";
  std::vector<double> saves, loads, verifies, writes, reads;
  CheckpointBench out;
  out.directory = fs::path(place.path()).parent_path().string();
  for (int64_t i = 0; i < repeats; ++i) {
    saves.push_back(seconds_of(world, [&] { checkpoint::save(file, state, world, options); }));
    out.file_bytes = static_cast<int64_t>(fs::file_size(file));
    if (runtime.leader()) forget_cached(file);
    loads.push_back(seconds_of(world, [&] { checkpoint::load(file, state, world); }));
    const auto failure = attempt([&] {
      if (!runtime.leader()) return;
      forget_cached(file);
      const auto begin = Clock::now();
      checkpoint::verify(file);
      verifies.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
      const DiskRate rate = disk_rate(place.path(), out.file_bytes);
      writes.push_back(rate.write);
      reads.push_back(rate.read);
    });
    agree(failure, world, "bench disk");
    log::info("saved and loaded {} of {}: {:.1f} MB in {:.1f} and {:.1f} s", i + 1, repeats,
              static_cast<double>(out.file_bytes) / 1e6, saves.back(), loads.back());
  }
  const auto bytes = static_cast<double>(out.file_bytes);
  out.save_rate = bytes / median(saves);
  out.load_rate = bytes / median(loads);
  if (runtime.leader()) {
    out.verify_rate = bytes / median(verifies);
    out.disk_write_rate = median(writes);
    out.disk_read_rate = median(reads);
  }
  time_steps(config, engine, runtime, place.path(), repeats, options, out);
  world.barrier("bench done").finish();
  return out;
}

}  // namespace troupe
