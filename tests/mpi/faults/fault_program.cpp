// One rank of a job in which something goes wrong; started under mpirun by mpi_faults_test.cpp.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/mpi_world.h"

namespace {

using troupe::ExitCode;

void run(const std::string& scenario, troupe::Communicator& world) {
  const int last = world.size() - 1;
  std::vector<float> data(1 << 18, 1.0F);
  const troupe::View view{data.data(), troupe::DType::f32, {1 << 18}, {1}, troupe::DeviceKind::cpu};
  for (int step = 0; step < 1000; ++step) {
    if (step == 20 && world.rank() == last) {
      if (scenario == "throw") troupe::fail(ExitCode::data, "token 300 of 256");
      if (scenario == "stop") raise(SIGSTOP);
      if (scenario == "kill") raise(SIGKILL);
      if (scenario == "silent") std::this_thread::sleep_for(std::chrono::seconds(60));
    }
    if (scenario == "differ" && step == 20) {
      const int64_t elements = world.rank() == last ? 5000 : 5001;
      const troupe::View part{
          data.data(), troupe::DType::f32, {elements}, {1}, troupe::DeviceKind::cpu};
      world.all_reduce_sum(part, "differ").wait();
    }
    world.all_reduce_sum(view, "gradients").wait();
    if (scenario == "clean" && step == 30) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string scenario = argc > 1 ? argv[1] : "clean";
  troupe::CommOptions options;
  options.timeout = std::chrono::seconds(2);
  troupe::MpiWorld world(options);
  try {
    run(scenario, *world.communicator());
  } catch (const troupe::Error& error) {
    world.communicator()->poison(error.what(), error.code());
    troupe::abort_world(error.code(), "[" + std::to_string(world.rank()) + "] " + error.what());
  }
  return 0;
}
