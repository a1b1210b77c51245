#include "tests/parallel/checkpoint/support/fuzz.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <memory>
#include <stdexcept>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/compare.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/structure_check.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/mutate.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

// There when the program is built for line coverage: _exit does not write the counts.
extern "C" void __gcov_dump() __attribute__((weak));

namespace troupe::test {
namespace {

// The part of rank `rank` of `ranks`: tensors of two and more dims are cut. Values are `value`.
State small_state(int ranks = 1, int rank = 0, double value = 1.0) {
  State state;
  const MeshShape mesh = MeshShape::data_expert(ranks, 1);
  const auto add = [&](const std::string& name, DType dtype, const Shape& shape) {
    Layout layout = Layout::replicated(shape, MeshKind::attention, {});
    if (shape.rank() > 1) layout.shard(0, Axis::dp);
    const LocalSlice slice = local_slice(layout, mesh, coordinates(mesh, rank));
    append_parts(state, name, layout, slice,
                 Tensor::full(slice.shape, dtype, value, Device::cpu()));
  };
  add("parameters/w", DType::f32, Shape{4, 3});
  add("parameters/b", DType::bf16, Shape{3});
  add("optimizer/m", DType::f64, Shape{2, 1, 2});
  add("router/t", DType::i32, Shape{5});
  state.scalars = {{"step", int64_t{7}}, {"lr", 0.25}, {"name", std::string("fuzz")}};
  return state;
}

// Everything that reads a checkpoint. Any exception but Error(checkpoint), and any that does not
// name the checkpoint, is a finding. Returns whether it verifies.
bool consume(const std::string& good, const std::string& path, bool ask_hdf5, FuzzCounts& counts) {
  const std::string stem = path.substr(0, path.size() - 3);
  const auto survive = [&](auto&& work) {
    try {
      work();
      return true;
    } catch (const Error& error) {
      if (error.code() != ExitCode::checkpoint) throw;
      if (std::string(error.what()).find(stem) != std::string::npos) return false;
      throw std::runtime_error(fmt::format("no name of a file in: {}", error.what()));
    }
  };
  if (!survive([&] { SealedFile{path}; })) return false;
  ++counts.passed_first_check;
  survive([&] { checkpoint::read_info(path); });
  const bool sound = survive([&] { checkpoint::verify(path); });
  if (sound) ++counts.passed_verify;
  survive([&] { checkpoint::compare(good, path); });
  const auto world = self_communicator();
  State state = small_state();
  if (survive([&] { checkpoint::load(path, state, *world); })) ++counts.loaded;
  if (ask_hdf5) {
    checkpoint::check_structure(path);  // in a child of its own
    survive([&] { checkpoint::merge(path, stem + "-merged"); });
  }
  return sound;
}

// Puts mutants of one kind on the disk and reads them.
class FuzzInputs {
 public:
  virtual ~FuzzInputs() = default;
  virtual void try_mutant(uint64_t number, FuzzCounts& counts) = 0;
};

class OneFile : public FuzzInputs {
 public:
  explicit OneFile(const std::string& dir) : dir_(dir) { write_file(dir_ + "/good.h5", original_); }
  void try_mutant(uint64_t number, FuzzCounts& counts) override {
    write_file(dir_ + "/mutant.h5", mutant(original_, number));
    consume(dir_ + "/good.h5", dir_ + "/mutant.h5", number % 64 == 0, counts);
  }

 private:
  std::string dir_;
  std::string original_ = fuzz_original();
};

// The newest checkpoint of a run is a mutant, the one before is sound.
class Shards : public FuzzInputs {
 public:
  explicit Shards(const std::string& run)
      : run_(run), original_(fuzz_shards(run, 7)), other_(fuzz_shards(run, 1)) {}
  void try_mutant(uint64_t number, FuzzCounts& counts) override {
    write_sharded(run_, 7, shard_mutant(original_, other_, number));
    const std::string newest = manifest_path(run_, 7);
    const bool sound = consume(manifest_path(run_, 1), newest, number % 64 == 0, counts);
    if (number % 16 != 0) return;
    const checkpoint::Choice choice = checkpoint::newest_usable(run_);
    require(choice.step == (sound ? 7 : 1), "step {} is taken", choice.step);
    require(sound || (choice.rejected.size() == 1 && choice.rejected[0].path == newest),
            "the damaged one is not named");
  }

 private:
  std::string run_;
  ShardedBytes original_;
  ShardedBytes other_;
};

struct Shared {
  uint64_t current = 0;
  FuzzCounts counts;
  std::array<char, 400> message{};
};

void limit(__rlimit_resource_t resource, rlim_t value) {
  const rlimit limits{value, value};
  ::setrlimit(resource, &limits);
}

[[noreturn]] void run_child(FuzzInputs& inputs, uint64_t begin, uint64_t end, Shared& shared) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  limit(RLIMIT_DATA, 1ULL << 30);  // the sanitizers reserve more for themselves
#endif
  limit(RLIMIT_CORE, 0);
  try {
    log::configure(log::Level::error, 0, true);
    for (uint64_t number = begin; number < end; ++number) {
      shared.current = number;
      ::alarm(20);  // a mutant that takes longer is a hang
      inputs.try_mutant(number, shared.counts);
    }
  } catch (const std::exception& error) {
    std::string(error.what()).copy(shared.message.data(), shared.message.size() - 1);
    ::_exit(1);
  }
  if (__gcov_dump != nullptr) __gcov_dump();
  ::_exit(0);
}

}  // namespace

std::string fuzz_original() {
  const TemporaryDirectory dir;
  const auto world = self_communicator();
  checkpoint::save(dir / "original.h5", small_state(), *world, {.config = "version: 1\n"});
  return read_file(dir / "original.h5");
}

ShardedBytes fuzz_shards(const std::string& run, int64_t step) {
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    checkpoint::save_step(run, step, 0, small_state(2, rank, static_cast<double>(step)), *world,
                          {.config = "version: 1\n", .shard_above = 0});
  });
  ShardedBytes out = read_sharded(run, step);
  write_sharded(run, step, out);
  return out;
}

std::string run_fuzz(FuzzKind kind, uint64_t begin, uint64_t end, FuzzCounts& counts) {
  const TemporaryDirectory dir;
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto& shared = *new (memory) Shared;
  // Originals are saved by threads, which the child should not start.
  std::unique_ptr<FuzzInputs> inputs;
  if (kind == FuzzKind::file) inputs = std::make_unique<OneFile>(dir.path());
  if (kind == FuzzKind::shards) inputs = std::make_unique<Shards>(dir.path());
  const pid_t child = ::fork();
  if (child == 0) run_child(*inputs, begin, end, shared);
  int status = 0;
  ::waitpid(child, &status, 0);
  std::string found;
  if (WIFSIGNALED(status)) found = "ended by signal " + std::to_string(WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) found = shared.message.data();
  if (!found.empty()) found = "mutant " + std::to_string(shared.current) + ": " + found;
  counts.passed_first_check += shared.counts.passed_first_check;
  counts.passed_verify += shared.counts.passed_verify;
  counts.loaded += shared.counts.loaded;
  ::munmap(memory, sizeof(Shared));
  return found;
}

}  // namespace troupe::test
