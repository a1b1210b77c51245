// The actions of `troupe ckpt` that read and write the formats of other programs, and what they
// share.
#pragma once

#include <cstdint>
#include <string>

#include "launch/app/command_line.h"

namespace troupe {

CommandLine import_line();
int ckpt_import(const Arguments& arguments);
CommandLine export_line();
int ckpt_export(const Arguments& arguments);

// FILE itself, or the newest file of the run directory DIR. Error(checkpoint) when it has none.
std::string checkpoint_file(const std::string& path);

// Is it a model in a format of another program, by what lies there?
bool is_foreign(const std::string& path);
// `troupe ckpt show` of one.
int show_foreign(const std::string& path, bool as_json);

// "10 B", "1.5 MB", "12.3 GB".
std::string human_bytes(int64_t bytes);

}  // namespace troupe
