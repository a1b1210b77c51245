// Machines made of network namespaces on this one, by launch/scripts/emulated-hosts.
#pragma once

#include <string>
#include <vector>

namespace troupe {

// A file of the source tree ("launch/scripts/emulated-hosts") or of an installation (share/troupe/
// and the last `kept` parts of the path), looked for in the folders above this program. Empty when
// it is in none.
std::string file_beside_program(const std::string& path, int kept);

// Runs the words on host1 of `hosts` machines named host1, host2, ..., each of which sends at most
// `rate` (200mbit; empty = unlimited), and returns their standard output; the machines are gone
// afterwards, also when this process ends before. Throws Error(resource) where namespaces are not
// allowed, and with the words' own exit code when they fail.
std::string run_on_emulated_hosts(int hosts, const std::string& rate,
                                  const std::vector<std::string>& words);

}  // namespace troupe
