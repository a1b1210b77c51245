// A configuration around a model that was made by another program.
#pragma once

#include <string>

#include "launch/config/run_config.h"

namespace troupe {

struct ImportedRun {
  ModelConfig model;
  std::string name;
  std::string source;     // where it came from, for a comment
  std::string weights;    // the checkpoint
  std::string tokenizer;  // a folder; empty: none is known
};

// For the checkpoint itself: nothing was trained yet. path: that of the checkpoint.
RunConfig imported_config(const ImportedRun& run, const std::string& path);

// A file that trains on, with the text to be filled in. path: of the file, to which its paths are
// relative.
std::string imported_yaml(const ImportedRun& run, const std::string& path);

}  // namespace troupe
