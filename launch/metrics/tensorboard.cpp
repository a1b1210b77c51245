#include "launch/metrics/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <system_error>

#include "launch/metrics/crc32c.h"
#include "launch/metrics/little_endian.h"

namespace troupe {
namespace tensorboard {
namespace {

// Protobuf wire types.
constexpr uint64_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void put_key(std::string& out, uint64_t field, uint64_t wire) {
  put_varint(out, (field << 3) | wire);
}

void put_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out.append(bytes);
}

// Event fields: wall_time 1, step 2, file_version 3, summary 5, session_log 7.
std::string event(double wall_time, int64_t step) {
  std::string out;
  put_key(out, 1, kFixed64);
  put_little(out, std::bit_cast<uint64_t>(wall_time), 8);
  if (step != 0) {
    put_key(out, 2, kVarint);
    put_varint(out, static_cast<uint64_t>(step));
  }
  return out;
}

constexpr const char* kValLoss = "loss/val";

uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

}  // namespace

std::string record(std::string_view data) {
  std::string out;
  put_little(out, data.size(), 8);
  put_little(out, masked(crc32c(out)), 4);
  out.append(data);
  put_little(out, masked(crc32c(data)), 4);
  return out;
}

std::string version_event(double wall_time) {
  std::string out = event(wall_time, 0);
  put_bytes(out, 3, "brain.Event:2");
  return out;
}

std::string start_event(double wall_time, int64_t step) {
  constexpr uint64_t kStart = 1;  // SessionLog.status
  std::string session;
  put_key(session, 1, kVarint);
  put_varint(session, kStart);
  std::string out = event(wall_time, step);
  put_bytes(out, 7, session);
  return out;
}

std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, number] : scalars) {
    std::string value;  // Summary.Value: tag 1, simple_value 2
    put_bytes(value, 1, tag);
    put_key(value, 2, kFixed32);
    put_little(value, std::bit_cast<uint32_t>(static_cast<float>(number)), 4);
    put_bytes(summary, 1, value);
  }
  std::string out = event(wall_time, step);
  put_bytes(out, 5, summary);
  return out;
}

std::vector<std::pair<std::string, double>> scalars_of(const StepMetrics& m) {
  std::vector<std::pair<std::string, double>> out = {
      {"loss/train", m.loss},
      {"loss/balance", m.balance_loss},
      {"loss/z", m.z_loss},
      {"optimizer/lr", m.lr},
      {"optimizer/grad_norm", m.grad_norm},
      {"speed/tokens_per_s", m.tokens_per_s},
      {"speed/step_ms", m.step_ms},
      {"speed/gemm_fraction", m.gemm_fraction},
      {"speed/tokens", static_cast<double>(m.tokens)},
      {"moe/load_max_over_mean", m.load_max_over_mean},
      {"moe/rank_load_max_over_mean", m.rank_load_max_over_mean},
      {"moe/dropped_fraction", m.dropped_fraction},
      {"moe/dead_experts", static_cast<double>(m.dead_experts)},
      {"moe/router_entropy", m.router_entropy},
      {"memory/peak_bytes", static_cast<double>(m.mem_peak_bytes)},
      {"time/forward_ms", m.phase_ms.forward},
      {"time/backward_ms", m.phase_ms.backward},
      {"time/dispatch_ms", m.phase_ms.dispatch},
      {"time/comm_ms", m.phase_ms.comm},
      {"time/optimizer_ms", m.phase_ms.optimizer},
      {"time/data_ms", m.phase_ms.data},
  };
  if (m.val_loss) out.insert(out.begin() + 1, {kValLoss, *m.val_loss});
  return out;
}

}  // namespace tensorboard

namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";

double now_seconds() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

// TensorBoard reads the files of a directory in the order of their names, so a new file's second
// lies beyond every earlier one's, even if the clock was set back.
int64_t next_second(const std::filesystem::path& run_dir) {
  int64_t second = static_cast<int64_t>(now_seconds());
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(kPrefix, 0) != 0) continue;
    const int64_t earlier = std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10);
    if (earlier < int64_t{10'000'000'000} - 1) second = std::max(second, earlier + 1);
  }
  return second;
}

std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0 || buffer[0] == '\0') return "host";
  std::string name(buffer.data());
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

}  // namespace

TensorboardFile::TensorboardFile(const std::filesystem::path& run_dir, int64_t resume_step) {
  const std::string name =
      fmt::format("{}{:010}.{}.{}.0", kPrefix, next_second(run_dir), host_name(), ::getpid());
  file_ = std::make_unique<LogFile>(run_dir / name, "TensorBoard events");
  const double now = now_seconds();
  file_->append(tensorboard::record(tensorboard::version_event(now)) +
                tensorboard::record(tensorboard::start_event(now, resume_step + 1)));
}

void TensorboardFile::append(const StepMetrics& metrics) {
  file_->append(tensorboard::record(
      tensorboard::scalars_event(now_seconds(), metrics.step, tensorboard::scalars_of(metrics))));
}

void TensorboardFile::append_val_loss(int64_t step, double val_loss) {
  file_->append(tensorboard::record(
      tensorboard::scalars_event(now_seconds(), step, {{tensorboard::kValLoss, val_loss}})));
}

}  // namespace troupe
