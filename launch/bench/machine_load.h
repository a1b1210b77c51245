// What else kept the machine busy during a measurement: why a figure may be lower than it could be.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/device/device.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct MachineLoad {
  // On the rank where each is worst; zeros where the system does not say.
  double switches_per_s = 0;  // involuntary context switches of a thread
  double waiting = 0;         // share of the time in which a thread could run and had no core
  double steal = 0;           // share of the cores' time that the host gave to other machines
  double gemm_of_peak = 1;    // product rate over the peak; 1 where they were not measured

  // "threads waited 12 % of the time for a core, ..."; empty: no more than on a quiet machine.
  std::string reasons() const;
};

// Watches from its making on.
class LoadWatch {
 public:
  explicit LoadWatch(int threads);  // of this rank
  // Collective.
  MachineLoad since(Communicator& world, const std::shared_ptr<Device>& device) const;

 private:
  // Sums since the start of the process or the machine.
  struct Counters {
    std::chrono::steady_clock::time_point now;
    double switches = 0;
    double waited = 0;  // seconds, of all threads
    double stolen = 0;  // ticks of all cores
    double ticks = 0;
  };
  static Counters read();

  int threads_;
  Counters begin_;
};

}  // namespace troupe
