// One rank of a job in which something goes wrong; started under mpirun by mpi_faults_test.cpp.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/mpi/mpi_world.h"
#include "parallel/comm/rank_report.h"

namespace {

using troupe::ExitCode;

troupe::View part_of(std::vector<float>& data, int64_t elements) {
  return {data.data(), troupe::DType::f32, {elements}, {1}, troupe::DeviceKind::cpu};
}

// Rank 0 sends rows to the last one, which expects none.
void rows_that_nobody_expects(troupe::Communicator& world, std::vector<float>& data) {
  std::vector<int64_t> to(static_cast<size_t>(world.size()), 0);
  const std::vector<int64_t> nothing = to;
  if (world.rank() == 0) to.back() = 10;
  const int64_t rows = world.rank() == 0 ? 10 : 0;
  const auto view = [&](int64_t count) {
    return troupe::View{
        data.data(), troupe::DType::f32, {count, 1}, {1, 1}, troupe::DeviceKind::cpu};
  };
  world.all_to_all(view(rows), to, view(0), nothing, "rows").finish();
}

// Of the job, before MPI knows it.
int variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

bool stops_at_the_end = false;

// While MPI starts: its first call waits for the other ranks.
bool stops_at_the_start = false;

// What the last rank does at step 20.
void go_wrong(const std::string& scenario) {
  if (scenario == "throw") troupe::fail(ExitCode::data, "token 300 of 256");
  if (scenario == "stop") raise(SIGSTOP);
  if (scenario == "kill") raise(SIGKILL);
  if (scenario == "silent") std::this_thread::sleep_for(std::chrono::seconds(60));
}

void run(const std::string& scenario, troupe::Communicator& world) {
  const int last = world.size() - 1;
  std::vector<float> data(1 << 18, 1.0F);
  const troupe::View view = part_of(data, 1 << 18);
  troupe::PositionScope at(world.world().position());
  at->layer = 3;
  at->pass = troupe::Pass::backward;
  for (int step = 0; step < 1000; ++step) {
    at->micro_batch = step;
    const bool now = step == 20;
    if (now && world.rank() == last) go_wrong(scenario);
    if (now && scenario == "differ") {
      world.all_reduce_sum(part_of(data, world.rank() == last ? 5000 : 5001), "differ").finish();
    }
    if (now && scenario == "rows") rows_that_nobody_expects(world, data);
    if (now && scenario == "skip" && world.rank() != last) world.barrier("skipped").finish();
    world.all_reduce_sum(view, "gradients").finish();
    if ((scenario == "clean" || scenario == "stop_at_end") && step == 30) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

// In the place of MPI's own, which they then call.
extern "C" int PMPI_Init_thread(int*, char***, int, int*);
extern "C" int MPI_Init_thread(int* count, char*** words, int wanted, int* given) {
  if (stops_at_the_start) raise(SIGSTOP);
  return PMPI_Init_thread(count, words, wanted, given);
}
extern "C" int PMPI_Finalize();
extern "C" int MPI_Finalize() {
  if (stops_at_the_end) raise(SIGSTOP);
  return PMPI_Finalize();
}

int main(int argc, char** argv) {
  const std::string scenario = argc > 1 ? argv[1] : "clean";
  troupe::CommOptions options;
  options.timeout = std::chrono::seconds(2);
  options.share_status = argc <= 2;  // any second word: as on hosts of their own
  if (scenario == "skip") {
    options.check_collectives = true;
    options.timeout = std::chrono::minutes(10);
  }
  const int rank = variable("OMPI_COMM_WORLD_RANK");
  const bool last = rank + 1 == variable("OMPI_COMM_WORLD_SIZE");
  const bool at_start = scenario == "stop_at_start" || scenario == "stop_first_at_start";
  if (at_start && (scenario == "stop_at_start" ? last : rank == 0)) stops_at_the_start = true;
  stops_at_the_end = scenario == "stop_at_end" && last;
  troupe::MpiWorld world(options, at_start ? options.timeout : std::chrono::minutes(10));
  try {
    run(scenario, *world.communicator());
  } catch (const troupe::RankReport& report) {
    // The end of the one that speaks ends this one.
    if (!report.speaks()) std::this_thread::sleep_for(std::chrono::seconds(30));
    troupe::abort_world(report.code(), report.what());
  } catch (const troupe::Error& error) {
    // What another rank told is reported by that one.
    const std::string text = error.what();
    if (text.find("rank ") == 0 && text.find(" failed: ") < 10)
      _exit(static_cast<int>(error.code()));
    world.communicator()->world().poison(error.what(), error.code());
    troupe::abort_world(error.code(), "[" + std::to_string(world.rank()) + "] " + error.what());
  }
  return 0;
}
