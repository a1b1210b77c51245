#include "launch/app/commands/ckpt/tokenizer_files.h"

#include <array>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/formats/source_file.h"
#include "core/io/atomic_file.h"
#include "core/text/tokenizer.h"
#include "launch/config/setting_names.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFiles = {"tokenizer.json",
                               "tokenizer_config.json",
                               "special_tokens_map.json",
                               "added_tokens.json",
                               "vocab.json",
                               "merges.txt",
                               "generation_config.json",
                               "chat_template.jinja"};

constexpr const char* kUnread =
    "`generate` and `eval` need one: write data.tokenizer into the configuration that trains on";

}  // namespace

void copy_tokenizer_files(const std::string& from, const std::string& to) {
  constexpr int64_t kMostBytes = 256LL << 20;
  for (const char* name : kFiles) {
    const fs::path path = fs::path(from) / name;
    std::error_code error;
    if (!fs::is_regular_file(path, error)) continue;
    write_file_atomically((fs::path(to) / name).string(), read_source(path.string(), kMostBytes));
  }
}

std::string copy_tokenizer(const std::string& model_folder, const std::string& checkpoint) {
  std::error_code error;
  const bool vocabulary = fs::exists(fs::path(model_folder) / "tokenizer.json", error) ||
                          fs::exists(fs::path(model_folder) / "vocab.json", error);
  if (!vocabulary) {
    log::warning("{} has no tokenizer.json, nor vocab.json and merges.txt. {}", model_folder,
                 kUnread);
    return "";
  }
  try {
    load_tokenizer(model_folder, {"none", key_names});
  } catch (const Error& cause) {
    log::warning("the tokenizer of {} cannot be read here: {}\n  {}", model_folder, cause.what(),
                 kUnread);
    return "";
  }
  fs::path folder = checkpoint;
  folder.replace_extension(".tokenizer");
  if (fs::exists(folder, error)) {
    fail(ExitCode::usage,
         "ckpt import: {} exists, where the tokenizer belongs. Remove it, or give another --out",
         folder.string());
  }
  make_directories(folder.string());
  copy_tokenizer_files(model_folder, folder.string());
  return folder.string();
}

}  // namespace troupe
