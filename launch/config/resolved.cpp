#include "launch/config/resolved.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/text/byte_escape.h"
#include "core/text/json_text.h"
#include "launch/config/parse_value.h"
#include "launch/config/recorded_folder.h"
#include "launch/config/resume.h"
#include "launch/config/scalar.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

bool is_file_path(const ConfigValue& entry) {
  return entry.key->type == FieldType::path && !entry.word();
}

std::string relative_to(const std::string& path, const std::string& folder) {
  std::error_code error;
  const fs::path target = fs::weakly_canonical(fs::absolute(path), error);
  const fs::path base = fs::weakly_canonical(fs::absolute(folder.empty() ? "." : folder), error);
  const fs::path relative = target.lexically_relative(base);
  const bool fits = !relative.empty() && relative.native().size() <= kLongestText;
  return fits ? relative.string() : target.string();
}

// A file that is called like one of the key's words stays a file.
std::string path_from(const std::string& folder, const ConfigValue& entry) {
  const std::string path = relative_to(std::get<std::string>(entry.value), folder);
  const std::vector<std::string>& words = entry.key->words;
  const bool word = std::find(words.begin(), words.end(), path) != words.end();
  return word ? "./" + path : path;
}

// Keys that say how this job runs, not what is trained.
bool belongs_to_job(const ConfigValue& entry, const RunConfig& config) {
  const std::string& path = entry.path;
  if (path == "train.micro_batch") return !micro_batch_matters(config);
  return entry.key->of_job || path.rfind("parallel.", 0) == 0 || path.rfind("runtime.", 0) == 0;
}

// A path part and the list index behind it ("balance[0]" -> balance, 0; -1 without).
struct Part {
  std::string name;
  int index = -1;
  bool operator==(const Part& other) const = default;
};

std::vector<Part> split(const std::string& path) {
  std::vector<Part> parts;
  size_t start = 0;
  while (start <= path.size()) {
    size_t end = path.find('.', start);
    if (end == std::string::npos) end = path.size();
    std::string word = path.substr(start, end - start);
    Part part;
    const size_t bracket = word.find('[');
    if (bracket != std::string::npos) {
      part.index = std::stoi(word.substr(bracket + 1));
      word.resize(bracket);
    }
    part.name = std::move(word);
    parts.push_back(std::move(part));
    start = end + 1;
  }
  return parts;
}

// Opens the mappings and list elements that `path` needs and the one before it had not opened.
void open_levels(const std::vector<Part>& before, const std::vector<Part>& now, std::string& out,
                 std::string& indent) {
  indent.clear();
  bool same = true;
  for (size_t i = 0; i + 1 < now.size(); ++i) {
    const bool same_name = same && i + 1 < before.size() && before[i].name == now[i].name;
    if (!same_name) out += indent + now[i].name + ":\n";
    if (now[i].index >= 0) {
      const bool same_element = same_name && before[i].index == now[i].index;
      indent += same_element ? "    " : "  - ";
    } else {
      indent += "  ";
    }
    same = same_name && before[i].index == now[i].index;
  }
}

}  // namespace

std::string resolved_yaml(const RunConfig& config, const ResolvedOptions& options) {
  const ConfigValues& values = config.values;
  std::string folder = options.folder;
  if (folder.empty()) folder = config.run.dir + (options.for_checkpoint ? "/checkpoints" : "");
  std::string out;
  if (!options.for_checkpoint) {
    out += "# Every value of this configuration, with where it comes from: LINE:COLUMN of\n";
    out += "# " + escape_bytes(values.file) + "\n";
  }
  out += stored_mark();
  out += folder_record(folder.empty() ? "." : folder);
  out += input_lines(config.inputs);
  out += lineage_lines(config.lineage);
  std::vector<Part> before;
  for (const ConfigValue& entry : values.entries()) {
    if (options.for_checkpoint && belongs_to_job(entry, config)) continue;
    const std::vector<Part> parts = split(entry.path);
    std::string indent;
    open_levels(before, parts, out, indent);
    before = parts;
    const std::string value =
        is_file_path(entry) ? format_text(path_from(folder, entry)) : ConfigValues::shown(entry);
    const std::string line = indent + parts.back().name + ": " + value;
    if (options.for_checkpoint) {
      out += line + "\n";
    } else {
      out += fmt::format("{:<44}  # {}\n", line, escape_bytes(values.origin(entry)));
    }
  }
  return out;
}

std::string config_hash(const RunConfig& config) {
  std::string canonical;
  for (const ConfigValue& entry : config.values.entries()) {
    if (entry.key->on_resume == OnResume::may_change) continue;
    if (entry.path == "train.micro_batch" && !micro_batch_matters(config)) continue;
    const std::string value = is_file_path(entry)
                                  ? fs::path(std::get<std::string>(entry.value)).filename().string()
                                  : ConfigValues::shown(entry);
    canonical += entry.path + "=" + value + "\n";
  }
  return fmt::format("{:016x}", XXH3_64bits(canonical.data(), canonical.size()));
}

std::string resolved_json(const RunConfig& config) {
  nlohmann::ordered_json all;
  for (const ConfigValue& entry : config.values.entries()) {
    nlohmann::ordered_json item;
    std::visit([&](const auto& value) { item["value"] = value; }, entry.value);
    if (entry.key->type == FieldType::duration) item["value"] = ConfigValues::shown(entry);
    item["origin"] = config.values.origin(entry, /*with_file=*/true);
    all[entry.path] = std::move(item);
  }
  return json_text(std::move(all));
}

}  // namespace troupe
