// How the files of a run's checkpoints are called.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::checkpoint {

// "step-00001200.h5"; eight digits or more.
std::string file_name(int64_t step);
// The step of such a name; none for any other.
std::optional<int64_t> step_of(const std::string& name);

// "step-00001200.shards", and with "-2", "-3", ... behind it for number 2, 3, ...
std::string shard_folder_name(const std::string& stem, int number);
bool is_shard_folder(const std::string& name);

}  // namespace troupe::checkpoint
