#include "parallel/checkpoint/names.h"

#include <fmt/core.h>

#include <charconv>
#include <string_view>

namespace troupe::checkpoint {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kSuffix = ".h5";
constexpr std::string_view kFolderEnd = ".shards";

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string file_name(int64_t step) { return fmt::format("step-{:08}.h5", step); }

std::optional<int64_t> step_of(const std::string& name) {
  if (name.size() < kPrefix.size() + 8 + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  int64_t step = 0;
  const char* first = name.data() + kPrefix.size();
  const char* last = name.data() + name.size() - kSuffix.size();
  const auto [end, error] = std::from_chars(first, last, step);
  if (error != std::errc() || end != last || file_name(step) != name) return std::nullopt;
  return step;
}

std::string shard_folder_name(const std::string& stem, int number) {
  return stem + std::string(kFolderEnd) + (number > 1 ? fmt::format("-{}", number) : "");
}

bool is_shard_folder(const std::string& name) {
  const size_t at = name.rfind(kFolderEnd);
  if (at == std::string::npos || !step_of(name.substr(0, at) + std::string(kSuffix))) return false;
  const std::string end = name.substr(at + kFolderEnd.size());
  return end.empty() || (end[0] == '-' && is_number(std::string_view(end).substr(1)));
}

}  // namespace troupe::checkpoint
