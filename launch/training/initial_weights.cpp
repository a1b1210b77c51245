#include "launch/training/initial_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/base/error.h"
#include "core/base/log.h"
#include "launch/config/load.h"
#include "launch/config/resume.h"
#include "launch/config/scalar.h"
#include "launch/training/run_directory.h"
#include "models/families/lookup/configured_model.h"
#include "parallel/checkpoint/content.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/comm/agreement.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

void refuse_other_formats(const std::string& path) {
  std::error_code error;
  const bool folder =
      fs::is_directory(path, error) && fs::exists(fs::path(path) / "config.json", error);
  if (!folder && !path.ends_with(".safetensors") && !path.ends_with(".gguf")) return;
  fail(ExitCode::checkpoint,
       "model.init: {} is in the format of another program. Make a checkpoint of it: troupe ckpt "
       "import {} --out FILE.h5",
       path, path);
}

// Of the model, but for what is free to differ.
bool says_the_model(const std::string& key) {
  for (const char* free : {"model.init", "model.init_std", "model.recompute", "model.dropout",
                           "model.seq_len", "moe.overlap", "moe.capacity_factor_eval"}) {
    if (key == free) return false;
  }
  return key.rfind("model.", 0) == 0 || key.rfind("moe.", 0) == 0 || key == "moe";
}

std::vector<std::string> differing_keys(const RunConfig& stored, const RunConfig& now) {
  std::vector<std::string> lines;
  for (const Change& change : changes(stored, now)) {
    if (says_the_model(change.key))
      lines.push_back(
          fmt::format("{}: {} there, {} here", change.key, change.before, change.after));
  }
  return lines;
}

bool fits(const checkpoint::Info& info, const RunConfig& config) {
  std::map<std::string, Shape> there;
  const std::string folder = "parameters/";
  for (const checkpoint::TensorInfo& tensor : info.tensors) {
    if (tensor.name.compare(0, folder.size(), folder) == 0)
      there[tensor.name.substr(folder.size())] = tensor.shape;
  }
  const std::vector<ParameterSpec> here = model_parameters(config.model, Parallelism{});
  return here.size() == there.size() &&
         std::all_of(here.begin(), here.end(), [&](const ParameterSpec& parameter) {
           const auto found = there.find(parameter.name);
           return found != there.end() && found->second == parameter.layout.global;
         });
}

// Of the leader.
void check_model(const std::string& path, const checkpoint::Info& info, const RunConfig& config) {
  const RunConfig stored =
      load_config_text(info.config, path, {"parallel={dp: 1}"}, 1, Purpose::eval).config;
  const std::vector<std::string> lines = differing_keys(stored, config);
  if (!fits(info, config)) {
    fail(ExitCode::usage, "model.init: {} does not fit this model:{}{}", path,
         lines.empty() ? " its tensors are others" : "\n  ", fmt::join(lines, "\n  "));
  }
  if (!lines.empty()) {
    log::warning("the weights of {} were made with other settings:\n  {}", path,
                 fmt::join(lines, "\n  "));
  }
}

}  // namespace

InitialWeights find_initial_weights(const RunConfig& config, Communicator& world) {
  constexpr const char* kSite = "initial weights";
  InitialWeights out;
  std::string lines;
  on_leader(world, kSite, [&] { refuse_other_formats(config.init); });
  out.checkpoint = checkpoint::resolve(config.init, world);
  on_leader(world, kSite, [&] {
    const checkpoint::Info info = checkpoint::read_info(out.checkpoint);
    check_model(out.checkpoint, info, config);
    lines = lineage_lines({{checkpoint::content_digest(info).hex(),
                            format_text(fs::absolute(config.init).lexically_normal().string())}});
  });
  out.ancestor = recorded_lineage(broadcast_text(lines, 0, world, kSite)).at(0);
  return out;
}

}  // namespace troupe
