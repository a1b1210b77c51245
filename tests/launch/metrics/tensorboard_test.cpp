// The event files are read back by a decoder that shares no code with the writer: bitwise CRC,
// generic protobuf fields.
#include "launch/metrics/tensorboard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "launch/metrics/crc32c.h"
#include "launch/metrics/metrics_file.h"
#include "launch/metrics/run_log.h"
#include "tests/launch/run_dir.h"

namespace troupe {
namespace {

using testing::read_text;
using testing::RunDir;

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    if (hex[i] == ' ') ++i;
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

// --- the independent decoder ---

uint32_t slow_crc32c(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const uint32_t in = (static_cast<uint8_t>(c) >> bit) & 1u;
      const uint32_t low = (crc ^ in) & 1u;
      crc >>= 1;
      if (low != 0) crc ^= 0x82F63B78u;
    }
  }
  return ~crc;
}

uint32_t unmasked(uint32_t stored) {
  const uint32_t rotated = stored - 0xA282EAD8u;
  return (rotated << 15) | (rotated >> 17);
}

template <typename T>
T take(const std::string& bytes, size_t& at) {
  T value{};
  if (at + sizeof(T) > bytes.size()) throw std::runtime_error("record ends early");
  std::memcpy(&value, bytes.data() + at, sizeof(T));  // the test machine is little-endian
  at += sizeof(T);
  return value;
}

std::vector<std::string> records(const std::string& file) {
  std::vector<std::string> out;
  for (size_t at = 0; at < file.size();) {
    const size_t start = at;
    const auto length = take<uint64_t>(file, at);
    if (unmasked(take<uint32_t>(file, at)) != slow_crc32c(file.substr(start, 8))) {
      throw std::runtime_error("CRC of the length");
    }
    const std::string data = file.substr(at, length);
    at += length;
    if (unmasked(take<uint32_t>(file, at)) != slow_crc32c(data)) {
      throw std::runtime_error("CRC of the data");
    }
    out.push_back(data);
  }
  return out;
}

struct Decoded {
  uint64_t number = 0;  // varint or fixed
  std::string bytes;    // length-delimited
};
using Message = std::multimap<uint64_t, Decoded>;

uint64_t varint(const std::string& bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const auto byte = take<uint8_t>(bytes, at);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80u) == 0) return value;
  }
  throw std::runtime_error("varint too long");
}

Message decode(const std::string& bytes) {
  Message out;
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t key = varint(bytes, at);
    Decoded field;
    switch (key & 7) {
      case 0:
        field.number = varint(bytes, at);
        break;
      case 1:
        field.number = take<uint64_t>(bytes, at);
        break;
      case 2: {
        const uint64_t length = varint(bytes, at);
        if (length > bytes.size() - at) throw std::runtime_error("field ends early");
        field.bytes = bytes.substr(at, length);
        at += length;
        break;
      }
      case 5:
        field.number = take<uint32_t>(bytes, at);
        break;
      default:
        throw std::runtime_error("unknown wire type");
    }
    out.emplace(key >> 3, field);
  }
  return out;
}

const Decoded& one(const Message& message, uint64_t field) {
  if (message.count(field) != 1) throw std::runtime_error("field missing or repeated");
  return message.find(field)->second;
}

std::map<std::string, float> scalars(const Message& event) {
  std::map<std::string, float> out;
  const Message summary = decode(one(event, 5).bytes);
  for (const auto& [field, value] : summary) {
    EXPECT_EQ(field, 1u);
    const Message entry = decode(value.bytes);
    const auto bits = static_cast<uint32_t>(one(entry, 2).number);
    EXPECT_TRUE(out.emplace(one(entry, 1).bytes, std::bit_cast<float>(bits)).second);
  }
  return out;
}

// --- tests ---

std::string counting(int first, int step) {
  std::string out;
  for (int i = 0; i < 32; ++i) out.push_back(static_cast<char>(first + i * step));
  return out;
}

TEST(Crc32c, VectorsOfRfc3720) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(counting(0, 1)), 0x46DD794Eu);
  EXPECT_EQ(crc32c(counting(31, -1)), 0x113FDB5Cu);
  std::string read_pdu(48, '\0');  // an iSCSI SCSI Read (10) command
  for (const auto& [at, value] : std::map<size_t, int>{{0, 0x01},
                                                       {1, 0xC0},
                                                       {16, 0x14},
                                                       {22, 0x04},
                                                       {27, 0x14},
                                                       {31, 0x18},
                                                       {32, 0x28},
                                                       {40, 0x02}}) {
    read_pdu[at] = static_cast<char>(value);
  }
  EXPECT_EQ(crc32c(read_pdu), 0xD9963A56u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(slow_crc32c(read_pdu), 0xD9963A56u);  // the decoder's own
}

TEST(Tensorboard, KnownBytes) {
  EXPECT_EQ(tensorboard::version_event(0),
            from_hex("0900000000000000001a0d627261696e2e4576656e743a32"));
  EXPECT_EQ(
      tensorboard::record(tensorboard::version_event(0)),
      from_hex("1800000000000000a37f4b22") + tensorboard::version_event(0) + from_hex("eedf28a3"));
  EXPECT_EQ(tensorboard::record(tensorboard::scalars_event(1.5, 7, {{"loss", 2.5}})),
            from_hex("1a00000000000000129bd82d09000000000000f83f10072a0d0a0b0a046c6f7373"
                     "15000020407841ddb1"));
}

StepMetrics row_of(int64_t step) {
  StepMetrics m;
  m.step = step;
  m.tokens = 8192 * step;
  m.loss = 5.5 / static_cast<double>(step);
  if (step % 3 == 0) m.val_loss = 6.0 / static_cast<double>(step);
  m.lr = 1e-3;
  m.grad_norm = 0.75;
  m.tokens_per_s = 48213.7;
  m.step_ms = 170.25;
  m.gemm_fraction = 0.61;
  m.balance_loss = 0.0101;
  m.z_loss = 0.0007;
  m.load_max_over_mean = 1.25;
  m.rank_load_max_over_mean = 1.0625;
  m.dropped_fraction = 0.03;
  m.dead_experts = 2;
  m.router_entropy = 1.9;
  m.mem_peak_bytes = 123456789;
  m.phase_ms = {40, 80, 5, 6, 12, 1};
  return m;
}

std::vector<std::filesystem::path> event_files(const RunDir& dir) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      out.push_back(entry.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Tensorboard, AFileDecodesToTheRowsThatWereWritten) {
  const RunDir dir;
  {
    TensorboardFile file(dir.path(), 0);
    for (int64_t step = 1; step <= 12; ++step) file.append(row_of(step));
    EXPECT_EQ(file.dropped(), 0);
  }
  ASSERT_EQ(event_files(dir).size(), 1u);
  const auto list = records(read_text(event_files(dir)[0]));
  ASSERT_EQ(list.size(), 2u + 12u);
  EXPECT_EQ(one(decode(list[0]), 3).bytes, "brain.Event:2");
  const Message start = decode(list[1]);
  EXPECT_EQ(one(start, 2).number, 1u);
  EXPECT_EQ(one(decode(one(start, 7).bytes), 1).number, 1u);  // SessionLog START
  double before = 0;
  for (int64_t step = 1; step <= 12; ++step) {
    const Message event = decode(list[static_cast<size_t>(step + 1)]);
    EXPECT_EQ(one(event, 2).number, static_cast<uint64_t>(step));
    const double time = std::bit_cast<double>(one(event, 1).number);
    EXPECT_GE(time, before);
    EXPECT_GT(time, 1.7e9);
    before = time;
    const auto values = scalars(event);
    const StepMetrics m = row_of(step);
    EXPECT_EQ(values.size(), step % 3 == 0 ? 22u : 21u);
    EXPECT_EQ(values.at("loss/train"), static_cast<float>(m.loss));
    EXPECT_EQ(values.count("loss/val"), step % 3 == 0 ? 1u : 0u);
    if (m.val_loss) {
      EXPECT_EQ(values.at("loss/val"), static_cast<float>(*m.val_loss));
    }
    EXPECT_EQ(values.at("loss/balance"), static_cast<float>(m.balance_loss));
    EXPECT_EQ(values.at("loss/z"), static_cast<float>(m.z_loss));
    EXPECT_EQ(values.at("optimizer/lr"), static_cast<float>(m.lr));
    EXPECT_EQ(values.at("optimizer/grad_norm"), static_cast<float>(m.grad_norm));
    EXPECT_EQ(values.at("speed/tokens_per_s"), static_cast<float>(m.tokens_per_s));
    EXPECT_EQ(values.at("speed/step_ms"), static_cast<float>(m.step_ms));
    EXPECT_EQ(values.at("speed/gemm_fraction"), static_cast<float>(m.gemm_fraction));
    EXPECT_EQ(values.at("speed/tokens"), static_cast<float>(m.tokens));
    EXPECT_EQ(values.at("moe/load_max_over_mean"), static_cast<float>(m.load_max_over_mean));
    EXPECT_EQ(values.at("moe/rank_load_max_over_mean"),
              static_cast<float>(m.rank_load_max_over_mean));
    EXPECT_EQ(values.at("moe/dropped_fraction"), static_cast<float>(m.dropped_fraction));
    EXPECT_EQ(values.at("moe/dead_experts"), static_cast<float>(m.dead_experts));
    EXPECT_EQ(values.at("moe/router_entropy"), static_cast<float>(m.router_entropy));
    EXPECT_EQ(values.at("memory/peak_bytes"), static_cast<float>(m.mem_peak_bytes));
    EXPECT_EQ(values.at("time/forward_ms"), 40.f);
    EXPECT_EQ(values.at("time/backward_ms"), 80.f);
    EXPECT_EQ(values.at("time/dispatch_ms"), 5.f);
    EXPECT_EQ(values.at("time/comm_ms"), 6.f);
    EXPECT_EQ(values.at("time/optimizer_ms"), 12.f);
    EXPECT_EQ(values.at("time/data_ms"), 1.f);
  }
}

TEST(Tensorboard, EachStartGetsALaterFileThatPurgesWhatIsRedone) {
  const RunDir dir;
  std::filesystem::path first, second;
  {
    TensorboardFile file(dir.path(), 0);
    for (int64_t step = 1; step <= 9; ++step) file.append(row_of(step));
    first = file.path();
  }
  {
    TensorboardFile file(dir.path(), 6);  // within the same second
    for (int64_t step = 7; step <= 9; ++step) file.append(row_of(step));
    second = file.path();
  }
  ASSERT_EQ(event_files(dir), (std::vector<std::filesystem::path>{first, second}));
  const auto list = records(read_text(second));
  EXPECT_EQ(one(decode(list[1]), 2).number, 7u);
  // A reader that follows START sees each step once.
  std::map<uint64_t, int> seen;
  for (const auto& path : event_files(dir)) {
    for (const auto& data : records(read_text(path))) {
      const Message event = decode(data);
      if (event.count(7) != 0) seen.erase(seen.lower_bound(one(event, 2).number), seen.end());
      if (event.count(5) != 0) ++seen[one(event, 2).number];
    }
  }
  ASSERT_EQ(seen.size(), 9u);
  for (const auto& [step, times] : seen) EXPECT_EQ(times, 1) << step;
}

TEST(Tensorboard, NegativeStepsAndNotFiniteValuesAreEncoded) {
  const Message event = decode(tensorboard::scalars_event(0, -1, {{"x", std::nan("")}}));
  EXPECT_EQ(static_cast<int64_t>(one(event, 2).number), -1);
  EXPECT_TRUE(std::isnan(scalars(event).at("x")));
}

TEST(RunLog, WritesAllThreeAndCutsThemTogether) {
  const RunDir dir;
  const std::vector<ExpertLayer> layers = {{0, 2}};
  const std::vector<int64_t> counts = {3, 5};
  {
    RunLog log(dir.path(), 0, layers, /*tensorboard=*/true);
    for (int64_t step = 1; step <= 9; ++step) log.append(row_of(step), counts);
    EXPECT_EQ(log.dropped(), 0);
  }
  EXPECT_EQ(event_files(dir).size(), 1u);
  RunLog log(dir.path(), 4, layers, /*tensorboard=*/false);
  EXPECT_EQ(event_files(dir).size(), 1u);
  EXPECT_EQ(read_metrics(dir.path()).size(), 4u);
  EXPECT_EQ(read_expert_loads(dir.path()).steps.size(), 4u);
}

TEST(RunLog, AnEvaluationThatCameLaterIsInTheEventsToo) {
  const RunDir dir;
  StepMetrics row = row_of(1);
  row.val_loss.reset();
  RunLog(dir.path(), 0, {}, /*tensorboard=*/false).append(row);
  RunLog log(dir.path(), 1, {}, /*tensorboard=*/true);
  log.add_val_loss(0.25);
  EXPECT_EQ(read_metrics(dir.path()).at(0).val_loss, 0.25);
  const std::vector<std::string> list = records(read_text(event_files(dir).at(0)));
  ASSERT_EQ(list.size(), 3u);
  const Message event = decode(list[2]);
  EXPECT_EQ(one(event, 2).number, 1u);
  EXPECT_EQ(scalars(event), (std::map<std::string, float>{{"loss/val", 0.25f}}));
}

TEST(RunLog, CountsWhatIsLostAndNeverThrows) {
  const RunDir dir;
  RunLog log(dir / "none", 0, {{0, 2}}, /*tensorboard=*/true);
  log.append(row_of(1), std::vector<int64_t>{1, 1});
  EXPECT_EQ(log.dropped(), 4);  // row, loads, file start, events
}

}  // namespace
}  // namespace troupe
