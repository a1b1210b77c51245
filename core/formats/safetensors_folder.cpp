#include "core/formats/safetensors_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "core/formats/json_source.h"
#include "core/formats/safetensors.h"
#include "core/formats/source_file.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

class SafetensorsFiles final : public WeightSource {
 public:
  explicit SafetensorsFiles(std::vector<std::unique_ptr<SafetensorsFile>> files)
      : files_(std::move(files)) {
    std::vector<std::pair<SavedTensor, const SafetensorsFile*>> all;
    for (const auto& file : files_) {
      for (const SavedTensor& tensor : file->tensors()) all.emplace_back(tensor, file.get());
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.first.name < b.first.name; });
    for (auto& [tensor, file] : all) {
      if (!tensors_.empty() && tensors_.back().name == tensor.name) {
        fail(ExitCode::checkpoint, "the tensor {} stands in {} and in {}", shown_name(tensor.name),
             holder_.back()->path(), file->path());
      }
      tensors_.push_back(std::move(tensor));
      holder_.push_back(file);
    }
  }

  void read(const SavedTensor& tensor, int64_t first, int64_t bytes,
            std::byte* out) const override {
    const SavedTensor* mine = find(tensor.name);
    require(mine != nullptr, "no tensor {}", tensor.name);
    holder_[static_cast<size_t>(mine - tensors_.data())]->read(*mine, first, bytes, out);
  }
  std::vector<std::string> files() const override {
    std::vector<std::string> paths;
    for (const auto& file : files_) paths.push_back(file->path());
    return paths;
  }

 private:
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<const SafetensorsFile*> holder_;  // of each tensor
};

// A name of a file in the same folder, and nothing else.
bool plain_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::map<std::string, std::string> read_index(const std::string& path) {
  constexpr int64_t kMostBytes = 64LL << 20;
  const nlohmann::json root = read_json_object(path, kMostBytes);
  const auto map = root.find("weight_map");
  if (map == root.end() || !map->is_object() || map->empty())
    fail(ExitCode::checkpoint, "{}: has no \"weight_map\" of tensors to files", path);
  std::map<std::string, std::string> files;
  for (const auto& item : map->items()) {
    if (!item.value().is_string() || !plain_name(item.value().get<std::string>())) {
      fail(ExitCode::checkpoint,
           "{}: the tensor {} is said to be in {}, which is no name of a file", path,
           shown_name(item.key()), shown_name(item.value().dump()));
    }
    files[item.key()] = item.value().get<std::string>();
  }
  return files;
}

std::unique_ptr<WeightSource> open_shards(const std::string& folder) {
  const std::string index = (fs::path(folder) / kWeightsIndex).string();
  const std::map<std::string, std::string> map = read_index(index);
  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards;
  for (const auto& [tensor, name] : map) {
    if (shards.count(name) == 0) {
      shards[name] = std::make_unique<SafetensorsFile>((fs::path(folder) / name).string());
    }
  }
  std::vector<std::string> problems;
  std::map<std::string, std::string> found;
  for (const auto& [name, shard] : shards) {
    for (const SavedTensor& tensor : shard->tensors()) {
      const auto said = map.find(tensor.name);
      if (said == map.end() || said->second != name) {
        problems.push_back(fmt::format(
            "{} has the tensor {}, which {}", name, shown_name(tensor.name),
            said == map.end() ? "the index does not name" : "it says is in " + said->second));
      }
      found[tensor.name] = name;
    }
  }
  for (const auto& [tensor, name] : map) {
    if (found.count(tensor) == 0)
      problems.push_back(fmt::format("{} lacks the tensor {}", name, shown_name(tensor)));
  }
  if (!problems.empty()) {
    constexpr size_t kShown = 20;
    const size_t more = problems.size() > kShown ? problems.size() - kShown : 0;
    problems.resize(problems.size() - more);
    fail(ExitCode::checkpoint, "{}: does not fit its files:\n  {}{}", index,
         fmt::join(problems, "\n  "), more > 0 ? fmt::format("\n  and {} more", more) : "");
  }
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  for (auto& [name, shard] : shards) files.push_back(std::move(shard));
  return std::make_unique<SafetensorsFiles>(std::move(files));
}

std::unique_ptr<WeightSource> open_one(const std::string& path) {
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  files.push_back(std::make_unique<SafetensorsFile>(path));
  return std::make_unique<SafetensorsFiles>(std::move(files));
}

// What lies in the folder instead, for the message.
std::string other_weights(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* ending : {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5"}) {
      if (name.ends_with(ending)) names.push_back(shown_name(name));
    }
  }
  std::sort(names.begin(), names.end());
  names.resize(std::min<size_t>(names.size(), 5));
  if (names.empty()) return "it holds no weights";
  return fmt::format("it holds {}", fmt::join(names, ", "));
}

}  // namespace

std::string model_folder(const std::string& where) {
  std::error_code error;
  if (!fs::is_directory(where, error)) {
    const fs::path parent = fs::path(where).parent_path();
    return parent.empty() ? "." : parent.string();
  }
  const fs::path reference = fs::path(where) / "refs" / "main";
  if (!fs::is_regular_file(reference, error)) return where;
  constexpr int64_t kMostBytes = 4096;
  std::string commit = read_source(reference.string(), kMostBytes);
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
  if (!plain_name(commit)) {
    fail(ExitCode::checkpoint, "{}: names no snapshot but {}", reference.string(),
         shown_name(commit));
  }
  return (fs::path(where) / "snapshots" / commit).string();
}

std::unique_ptr<WeightSource> open_safetensors(const std::string& where) {
  std::error_code error;
  if (!fs::exists(where, error))
    fail(ExitCode::checkpoint, "no model at {}: it {}", where, why_absent(where));
  if (!fs::is_directory(where, error)) return open_one(where);
  const std::string folder = model_folder(where);
  const std::string single = (fs::path(folder) / kWeightsFile).string();
  const bool has_single = fs::exists(single, error);
  const bool has_index = fs::exists(fs::path(folder) / kWeightsIndex, error);
  if (has_single && has_index) {
    fail(ExitCode::checkpoint, "{} has {} and {}: remove the one that is not meant", folder,
         kWeightsFile, kWeightsIndex);
  }
  if (has_index) return open_shards(folder);
  if (has_single) return open_one(single);
  fail(ExitCode::checkpoint, "{} has neither {} nor {}: {}", folder, kWeightsFile, kWeightsIndex,
       other_weights(folder));
}

}  // namespace troupe
