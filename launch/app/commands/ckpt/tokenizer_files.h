// The files of a tokenizer that lie beside a model of another program.
#pragma once

#include <string>

namespace troupe {

// Copies those that are in `from` into the folder `to`, which is there.
void copy_tokenizer_files(const std::string& from, const std::string& to);

// Copies them into a folder beside `checkpoint` ("x.h5": "x.tokenizer") and returns its path;
// "byte" and a warning where there are none, or none that can be read here. Error(usage) when the
// folder is there.
std::string copy_tokenizer(const std::string& model_folder, const std::string& checkpoint);

}  // namespace troupe
