#include "launch/selftest/selftest.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/packed_weights.h"
#include "core/tensor/host_memory.h"
#include "models/verify/difference.h"
#include "models/verify/layout_run.h"
#include "moe/routers/table.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

using laws::LawResult;
using laws::LayoutRun;

// A directory that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "troupe-selftest-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      fail(ExitCode::resource, "no temporary directory could be made below {}. Set TMPDIR",
           std::filesystem::temp_directory_path().string());
    }
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Each step at which finite differences are taken draws the same numbers.
EngineConfig smooth_engine(const std::string& router) {
  EngineConfig engine = laws::small_engine(DType::f64, router);
  engine.lr = 0.0;  // the step only computes gradients
  engine.clip = 0.0;
  return engine;
}

// Loss and balance terms of the first step's batch at the engine's present parameters.
double total_loss(TrainingEngine& engine) {
  const StepResult result = engine.step(0, laws::law_batches(engine));
  return result.loss + result.balance_loss + result.z_loss;
}

// For each parameter the derivative along one drawn direction against central differences.
SelftestRow check_gradients(const std::string& router, double tolerance) {
  SelftestRow row{"gradients, " + router, 0, tolerance, ""};
  auto device = Device::cpu(1);
  const Mesh mesh(MeshShape{}, self_communicator());
  TrainingEngine engine(smooth_engine(router), mesh, device);
  total_loss(engine);
  std::vector<std::vector<double>> gradients;
  for (Parameter* parameter : engine.model().parameters())
    gradients.push_back(parameter->gradient().values());
  constexpr double kStep = 1e-6;
  for (size_t i = 0; i < gradients.size(); ++i) {
    Parameter& parameter = *engine.model().parameters()[i];
    const Tensor value = parameter.value();
    const Random random(3, "selftest", parameter.name());
    const std::vector<double> before = parameter.value().values();
    double expected = 0.0;
    double scale = 0.0;
    auto move = [&](double step) {
      const auto values = host_output<double>(value);
      for (size_t j = 0; j < before.size(); ++j)
        values[static_cast<int64_t>(j)] = before[j] + step * random.normal(j);
      parameter.value_changed();
    };
    for (size_t j = 0; j < before.size(); ++j) {
      expected += gradients[i][j] * random.normal(j);
      scale += gradients[i][j] * gradients[i][j];
    }
    move(kStep);
    const double above = total_loss(engine);
    move(-kStep);
    const double below = total_loss(engine);
    move(0.0);
    const double found = (above - below) / (2 * kStep);
    const double difference = std::abs(found - expected) / std::max(std::sqrt(scale), 1e-3);
    if (difference >= row.worst) {
      row.worst = difference;
      row.where = parameter.name();
    }
  }
  return row;
}

SelftestRow check_layouts(const std::string& router, double tolerance) {
  SelftestRow row{"layouts, " + router, 0, tolerance, ""};
  LayoutRun law{laws::small_engine(DType::f64, router)};
  law.steps = 2;
  const LawResult alone = laws::run_law_on_threads(law, 1);
  for (auto [ranks, ep] : {std::pair{2, 2}, std::pair{4, 2}}) {
    law.ep = ep;
    const LawResult spread = laws::run_law_on_threads(law, ranks);
    std::string where;
    for (double difference : {laws::worst_difference(alone.losses, spread.losses),
                              laws::worst_difference(alone.gradients, spread.gradients, where),
                              laws::worst_difference(alone.parameters, spread.parameters, where)}) {
      if (difference >= row.worst) {
        row.worst = difference;
        row.where = fmt::format("dp {} x ep {}: {}", ranks, ep, where);
      }
    }
  }
  return row;
}

// Saves on two ranks, loads on one, and saves again: the two files must hold the same bytes.
SelftestRow check_checkpoint() {
  SelftestRow row{"checkpoint, dp 2 x ep 2 to one rank", 0, 0, ""};
  const TemporaryDirectory directory;
  const EngineConfig config = laws::small_engine(DType::f64, MoEConfig{}.router);
  run_ranks(2, [&](int, std::shared_ptr<Communicator> world) {
    const Mesh mesh(MeshShape::data_expert(2, 2), world);
    TrainingEngine engine(config, mesh, Device::cpu(1));
    engine.step(0, laws::law_batches(engine));
    checkpoint::save(directory.file("two.h5"), engine.state(), *world);
  });
  EngineConfig other = config;
  other.seed += 1;  // so that the loaded values cannot be those drawn at the start
  const Mesh mesh(MeshShape{}, self_communicator());
  TrainingEngine engine(other, mesh, Device::cpu(1));
  State state = engine.state();
  checkpoint::load(directory.file("two.h5"), state, mesh.all());
  engine.state_loaded();
  checkpoint::save(directory.file("one.h5"), engine.state(), mesh.all());
  const checkpoint::Info two = checkpoint::read_info(directory.file("two.h5"));
  const checkpoint::Info one = checkpoint::read_info(directory.file("one.h5"));
  for (size_t i = 0; i < two.tensors.size(); ++i) {
    if (i >= one.tensors.size() || !(one.tensors[i].digest == two.tensors[i].digest)) {
      row.worst = 1;
      row.where = two.tensors[i].name;
    }
  }
  return row;
}

// Large enough that every product is cut into pieces.
LayoutRun wide_case(DType dtype) {
  LayoutRun law{laws::small_engine(dtype, MoEConfig{}.router)};
  law.engine.model.dim = law.engine.model.ffn_dim = 160;
  law.engine.model.head_dim = 80;
  law.engine.model.seq_len = 64;
  law.engine.model.moe[1]->ffn_dim = 96;
  law.engine.global_batch = 6;
  law.steps = 2;
  return law;
}

// Whole steps, whose bits must not depend on the number of threads.
SelftestRow check_threads(DType dtype) {
  SelftestRow row{fmt::format("1, 2 and 4 threads, {}", name(dtype)), 0, 0, ""};
  LayoutRun law = wide_case(dtype);
  const LawResult alone = laws::run_law_on_threads(law, 1);
  for (const int threads : {2, 4}) {
    law.threads = threads;
    const LawResult team = laws::run_law_on_threads(law, 1);
    std::string where = "a loss";
    for (double difference : {laws::worst_difference(alone.losses, team.losses),
                              laws::worst_difference(alone.gradients, team.gradients, where),
                              laws::worst_difference(alone.parameters, team.parameters, where)}) {
      if (difference > row.worst) {
        row.worst = difference;
        row.where = fmt::format("{} threads: {}", threads, where);
      }
    }
  }
  return row;
}

// A row of a product must not depend on the rows that are multiplied with it: on this rests the
// held-out loss, whose windows any number of ranks may share.
SelftestRow check_rows(DType dtype) {
  SelftestRow row{fmt::format("rows alone and together, {}", name(dtype)), 0, 0, ""};
  constexpr int64_t kRows = 200, kIn = 640, kOut = 96;
  const auto device = Device::cpu(1);
  const auto drawn = [&](const Shape& shape, DType type, const char* what) {
    const Random random(3, "selftest", what);
    std::vector<double> values(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
    return Tensor::from(values, shape, type, device);
  };
  const Tensor x = drawn({kRows, kIn}, dtype, "rows");
  const auto forms = PackedWeights::make(1, kOut, kIn, dtype, device);
  forms->refresh(drawn({kOut, kIn}, wide(dtype), "weight"), 1);
  const auto product = [&](int64_t first, int64_t rows) {
    const Tensor out = Tensor::empty({rows, kOut}, dtype, device);
    kernels::grouped_gemm(device->stream(), x.strided({rows, kIn}, {kIn, 1}, first * kIn).view(),
                          {&rows, 1}, forms->forward(), out.view());
    return out.values();
  };
  const std::vector<double> together = product(0, kRows);
  for (const auto& [first, rows] : {std::pair{0, 100}, {100, 100}, {3, 1}, {150, 37}}) {
    const std::vector<double> alone = product(first, rows);
    for (size_t i = 0; i < alone.size(); ++i) {
      const double difference =
          std::abs(alone[i] - together[static_cast<size_t>(first) * kOut + i]);
      if (difference > row.worst) {
        row.worst = difference;
        row.where = fmt::format("{} rows from {} on", rows, first);
      }
    }
  }
  return row;
}

template <typename Check>
SelftestRow timed(Check check) {
  const auto begin = std::chrono::steady_clock::now();
  SelftestRow row = check();
  row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return row;
}

}  // namespace

std::vector<SelftestRow> selftest(const SelftestOptions& options) {
  std::vector<SelftestRow> rows;
  for (const RouterDescriptor& router : routers()) {
    rows.push_back(timed([&] { return check_gradients(router.name, options.gradient_tolerance); }));
    rows.push_back(timed([&] { return check_layouts(router.name, options.layout_tolerance); }));
  }
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    rows.push_back(timed([&] { return check_threads(dtype); }));
    rows.push_back(timed([&] { return check_rows(dtype); }));
  }
  rows.push_back(timed(check_checkpoint));
  return rows;
}

}  // namespace troupe
