#include "launch/metrics/expert_file.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/base/log.h"
#include "launch/metrics/crc32c.h"
#include "launch/metrics/little_endian.h"

namespace troupe {
namespace {

constexpr const char* kFileName = "experts.bin";
constexpr std::string_view kMagic = "TROUPEX1";

std::string header_of(const std::vector<ExpertLayer>& layers) {
  std::string out(kMagic);
  put_little(out, layers.size(), 4);
  for (const ExpertLayer& layer : layers) {
    put_little(out, static_cast<uint64_t>(layer.layer), 4);
    put_little(out, static_cast<uint64_t>(layer.experts), 4);
  }
  put_little(out, crc32c(out), 4);
  return out;
}

size_t values_of(const std::vector<ExpertLayer>& layers) {
  size_t values = 0;
  for (const ExpertLayer& layer : layers) values += static_cast<size_t>(layer.experts);
  return values;
}

// A whole header with a matching checksum, or nothing.
std::optional<std::vector<ExpertLayer>> parse_header(std::string_view bytes) {
  const size_t prefix = kMagic.size() + 4;
  if (bytes.size() < prefix || bytes.substr(0, kMagic.size()) != kMagic) return std::nullopt;
  const size_t count = get_little(bytes, kMagic.size(), 4);
  if (count > (bytes.size() - prefix) / 8) return std::nullopt;
  const size_t end = prefix + 8 * count;
  if (bytes.size() < end + 4 || get_little(bytes, end, 4) != crc32c(bytes.substr(0, end))) {
    return std::nullopt;
  }
  std::vector<ExpertLayer> layers(count);
  for (size_t i = 0; i < count; ++i) {
    layers[i].layer = static_cast<int64_t>(get_little(bytes, prefix + 8 * i, 4));
    layers[i].experts = static_cast<int64_t>(get_little(bytes, prefix + 8 * i + 4, 4));
  }
  return layers;
}

size_t record_size(size_t values) { return 8 + 4 * values + 4; }

// Step of the whole record at `at`, or nothing if it is torn or damaged.
std::optional<int64_t> record_step(std::string_view bytes, size_t at, size_t values) {
  const size_t size = record_size(values);
  if (bytes.size() < at || bytes.size() - at < size) return std::nullopt;
  const std::string_view record = bytes.substr(at, size);
  if (get_little(record, size - 4, 4) != crc32c(record.substr(0, size - 4))) return std::nullopt;
  return static_cast<int64_t>(get_little(record, 0, 8));
}

}  // namespace

ExpertLoads read_expert_loads(const std::filesystem::path& run_dir) {
  ExpertLoads loads;
  const std::string bytes = read_bytes(run_dir / kFileName);
  const auto layers = parse_header(bytes);
  if (!layers) return loads;
  loads.layers = *layers;
  const size_t values = values_of(loads.layers);
  size_t at = header_of(loads.layers).size();
  while (const auto step = record_step(bytes, at, values)) {
    if (!loads.steps.empty() && *step <= loads.steps.back()) break;
    std::vector<uint32_t> counts(values);
    for (size_t i = 0; i < values; ++i) {
      counts[i] = static_cast<uint32_t>(get_little(bytes, at + 8 + 4 * i, 4));
    }
    loads.steps.push_back(*step);
    loads.counts.push_back(std::move(counts));
    at += record_size(values);
  }
  return loads;
}

ExpertFile::ExpertFile(const std::filesystem::path& run_dir, std::vector<ExpertLayer> layers,
                       int64_t resume_step)
    : values_(values_of(layers)) {
  const auto path = run_dir / kFileName;
  if (layers.empty()) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return;
  }
  const std::string bytes = read_bytes(path);
  const std::string header = header_of(layers);
  if (parse_header(bytes) == layers) {
    size_t end = header.size();
    int64_t last = 0;
    for (auto step = record_step(bytes, end, values_); step && *step <= resume_step && *step > last;
         step = record_step(bytes, end, values_)) {
      last = *step;
      end += record_size(values_);
    }
    keep_only(path, bytes, std::string_view(bytes).substr(0, end));
  } else {
    std::string problem;
    if (!replace_file(path, header, problem)) {
      log::warning("cannot start {}: {}; expert loads of this run are not kept", path.string(),
                   problem);
      return;
    }
  }
  file_ = std::make_unique<LogFile>(path, "expert loads");
}

void ExpertFile::append(int64_t step, std::span<const int64_t> counts) {
  require(counts.size() == values_, "{} expert counts for {} experts over all layers",
          counts.size(), values_);
  if (values_ == 0) return;
  if (!file_) {
    ++lost_;
    return;
  }
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  std::string record;
  put_little(record, static_cast<uint64_t>(step), 8);
  for (const int64_t count : counts) {
    put_little(record, static_cast<uint64_t>(std::clamp<int64_t>(count, 0, kMost)), 4);
  }
  put_little(record, crc32c(record), 4);
  file_->append(record);
}

}  // namespace troupe
