#include "launch/bench/machine_load.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <vector>

#include "core/tensor/tensor.h"

namespace troupe {
namespace {

// Of a quiet machine: at most half of each.
constexpr double kSwitches = 150;
constexpr double kWaiting = 0.15;
constexpr double kSteal = 0.01;
constexpr double kOfPeak = 0.8;

// Seconds that this process's threads stood in a queue for a core.
double waited_for_cores() {
  double nanoseconds = 0;
  std::error_code ended;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ended)) {
    std::ifstream in(task.path() / "schedstat");  // nanoseconds that it ran, and that it waited
    double ran = 0;
    double waited = 0;
    if (in >> ran >> waited) nanoseconds += waited;
  }
  return nanoseconds * 1e-9;
}

}  // namespace

std::string MachineLoad::reasons() const {
  std::vector<std::string> out;
  if (switches_per_s > kSwitches) {
    out.push_back(
        fmt::format("{:.0f} involuntary context switches a second and thread", switches_per_s));
  }
  if (waiting > kWaiting) {
    out.push_back(fmt::format("threads waited {:.0f} % of the time for a core", 100 * waiting));
  }
  if (steal > kSteal) {
    out.push_back(fmt::format("the host took {:.0f} % of the cores' time", 100 * steal));
  }
  if (gemm_of_peak < kOfPeak) {
    out.push_back(fmt::format("products at {:.2f} of the peak", gemm_of_peak));
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

LoadWatch::LoadWatch(int threads) : threads_(threads), begin_(read()) {}

LoadWatch::Counters LoadWatch::read() {
  Counters out;
  out.now = std::chrono::steady_clock::now();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  out.switches = static_cast<double>(usage.ru_nivcsw);
  out.waited = waited_for_cores();
  // "cpu user nice system idle iowait irq softirq steal ..."
  std::ifstream in("/proc/stat");
  std::string word;
  std::array<double, 8> ticks{};
  in >> word;
  for (double& count : ticks) in >> count;
  if (!in) return out;
  out.stolen = ticks.back();
  out.ticks = std::accumulate(ticks.begin(), ticks.end(), 0.0);
  return out;
}

MachineLoad LoadWatch::since(Communicator& world, const std::shared_ptr<Device>& device) const {
  const Counters end = read();
  const double seconds = std::chrono::duration<double>(end.now - begin_.now).count() * threads_;
  const double ticks = end.ticks - begin_.ticks;
  const std::array own{(end.switches - begin_.switches) / seconds,
                       (end.waited - begin_.waited) / seconds,
                       ticks > 0 ? (end.stolen - begin_.stolen) / ticks : 0.0};
  const auto count = static_cast<int64_t>(own.size());
  const Tensor in = Tensor::from(std::span<const double>(own), {count}, DType::f64, device);
  const Tensor all =
      Tensor::empty({count * world.size()}, DType::f64, device, MemoryKind::communication);
  world.all_gather(in.view(), all.view(), "machine load").finish();
  MachineLoad out;
  const std::vector<double> values = all.values();
  for (int rank = 0; rank < world.size(); ++rank) {
    const double* of_rank = values.data() + rank * count;
    out.switches_per_s = std::max(out.switches_per_s, of_rank[0]);
    out.waiting = std::max(out.waiting, of_rank[1]);
    out.steal = std::max(out.steal, of_rank[2]);
  }
  return out;
}

}  // namespace troupe
