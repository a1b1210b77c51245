// The machines of a job: a list ("a:2,b:2" or "a,b") or an OpenMPI hostfile.
#pragma once

#include <string>
#include <vector>

namespace troupe {

struct Host {
  std::string name;
  int slots = 0;  // 0 = not said
};

struct Hosts {
  std::vector<Host> hosts;
  std::string file;  // of a hostfile, else empty
  // The file for OpenMPI, where it was written on Windows: without the byte order mark and the
  // carriage returns, which OpenMPI takes for parts of names. Else empty.
  std::string rewritten;

  // Ranks that fit; 0 when a hostfile leaves it to OpenMPI (a line without slots).
  int slots() const;
};

// Throws Error(usage) that names the entry or line and what is wrong with it.
Hosts parse_hosts(const std::string& list_or_file);

// The hosts of a list with the slots that `ranks` need: a list without any numbers shares them
// evenly, the first hosts taking what is left over. Throws Error(usage) when too few are given.
Hosts with_slots(const Hosts& hosts, int ranks);

// "a:2,b:2"
std::string host_list(const Hosts& hosts);

}  // namespace troupe
