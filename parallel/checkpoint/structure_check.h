// Does HDF5 see in a file what its seal says? Asked in a child process with limits on memory and
// time: a file that was made to break HDF5 ends the child, not this program.
#pragma once

#include <string>

namespace troupe::checkpoint {

// "" when HDF5 and the seal agree, else what is wrong. Call it after verify(). The child is made by
// fork: do not call it while other threads of this process use HDF5.
std::string check_structure(const std::string& path);

}  // namespace troupe::checkpoint
