// What a model in the format of another program holds, and what of it is known here.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/formats/safetensors_folder.h"
#include "core/text/json_text.h"
#include "launch/app/commands/ckpt/parts.h"
#include "launch/app/output.h"
#include "models/convert/hf_model.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// One line about whether it could be imported.
std::string verdict(const std::string& path) {
  try {
    const HfModel source = open_hf_model(path);
    plan_hf_import(source, ImportType::keep);
    return fmt::format("{}: `troupe ckpt import {} --out FILE.h5` makes a checkpoint of it",
                       source.family->model_type, path);
  } catch (const Error& error) {
    return fmt::format("cannot be imported: {}", error.what());
  }
}

}  // namespace

bool is_foreign(const std::string& path) {
  std::error_code error;
  if (path.ends_with(".safetensors")) return true;
  if (!fs::is_directory(path, error)) return false;
  const fs::path folder = model_folder(path);
  return fs::exists(folder / "config.json", error) || fs::exists(folder / kWeightsFile, error) ||
         fs::exists(folder / kWeightsIndex, error);
}

int show_foreign(const std::string& path, bool as_json) {
  const std::unique_ptr<WeightSource> weights = open_safetensors(path);
  int64_t elements = 0;
  int64_t bytes = 0;
  for (const SavedTensor& tensor : weights->tensors()) {
    elements += element_count(tensor.shape).value();
    bytes += tensor.bytes;
  }
  const std::string known = verdict(path);
  if (as_json) {
    ordered_json tensors = ordered_json::array();
    for (const SavedTensor& tensor : weights->tensors()) {
      tensors.push_back({{"name", tensor.name},
                         {"type", name(tensor.type)},
                         {"shape", tensor.shape},
                         {"bytes", tensor.bytes}});
    }
    const ordered_json shown = {{"format", "safetensors"}, {"files", weights->files()},
                                {"elements", elements},    {"bytes", bytes},
                                {"known", known},          {"tensors", tensors}};
    output::print("{}\n", json_text(shown, 2));
    return 0;
  }
  output::print(
      "format      safetensors\nfiles       {}\nsize        {}\nelements    {}\nknown       {}\n\n",
      weights->files().size(), human_bytes(bytes), elements, known);
  size_t width = 6;
  for (const SavedTensor& tensor : weights->tensors())
    width = std::max(width, shown_name(tensor.name).size());
  output::print("{:<{}}  {:<7}  {:>18}  {:>10}\n", "tensor", width, "type", "shape", "size");
  for (const SavedTensor& tensor : weights->tensors()) {
    output::print("{:<{}}  {:<7}  {:>18}  {:>10}\n", shown_name(tensor.name), width,
                  name(tensor.type), shape_text(tensor.shape), human_bytes(tensor.bytes));
  }
  return 0;
}

}  // namespace troupe
