// Where a stored configuration stood when it was written: a run that was moved without its data
// still finds them.
#pragma once

#include <string>
#include <vector>

#include "launch/config/config_values.h"

namespace troupe {

// The line, with its end, that says that the paths of the text were relative to `folder`.
std::string folder_record(const std::string& folder);
// The folder of such a line at the beginning of a configuration; empty without one.
std::string recorded_folder(const std::string& text);
// The text with that line, and other comments before the first key, emptied: whatever they say, the
// configuration can be read.
std::string without_record(const std::string& text);

// The line, with its end, that says that the paths of the text have no variables, and whether a
// configuration was written by Troupe: those from before the line have a recorded folder.
std::string stored_mark();
bool is_stored(const std::string& text);

// For every file that a stored configuration names with a relative path: where it is not found
// beside the configuration but from the recorded folder, its value becomes that path. A run that
// moved together with its data finds the copy, a run that moved alone the original. Returns one
// sentence for each file that is in neither place; those keep their value. `text` is the
// configuration.
std::vector<std::string> find_moved_files(ConfigValues& values, const std::string& text);

}  // namespace troupe
