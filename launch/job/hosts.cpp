#include "launch/job/hosts.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/base/error.h"

namespace troupe {
namespace {

// A positive number of ranks, or 0 when the text is none.
int number_of(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value > 0 && value <= (1 << 20) ? value : 0;
}

Hosts parse_list(const std::string& list) {
  Hosts out;
  std::istringstream entries(list);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const size_t colon = entry.find(':');
    Host host{entry.substr(0, colon), 0};
    if (colon != std::string::npos) host.slots = number_of(entry.substr(colon + 1));
    if (host.name.empty() || host.name.find_first_of(" \t/") != std::string::npos ||
        (colon != std::string::npos && host.slots == 0)) {
      fail(ExitCode::usage,
           "--hosts {}: '{}' is neither HOST nor HOST:SLOTS, nor is the whole a hostfile that "
           "exists; write for instance node1:2,node2:2",
           list, entry);
    }
    out.hosts.push_back(host);
  }
  if (out.hosts.empty() || list.back() == ',') {
    fail(ExitCode::usage, "--hosts '{}' names no host or ends with a comma", list);
  }
  return out;
}

// What OpenMPI knows besides the slots of a machine.
bool is_for_mpirun(const std::string& word) {
  const std::string key = word.substr(0, word.find('='));
  return key == "max-slots" || key == "max_slots" || key == "user" || key == "username" ||
         key == "user-name" || key == "user_name";
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ExitCode::usage, "--hosts {}: the hostfile cannot be read", path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The text without a byte order mark, every line ended by '\n' alone.
std::string with_plain_line_ends(std::string text) {
  if (text.rfind("\xef\xbb\xbf", 0) == 0) text.erase(0, 3);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

bool is_host_name(const std::string& word) {
  return std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::strchr("-._:@+%[]", c) != nullptr;
  });
}

// Bytes that do not show on a terminal as \xNN.
std::string visible(const std::string& word) {
  std::string out;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte > 0x20 && byte < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return out;
}

Hosts parse_file(const std::string& path) {
  const std::string written = read_file(path);
  const std::string text = with_plain_line_ends(written);
  Hosts out;
  out.file = path;
  if (text != written) out.rewritten = text;
  int number = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    Host host;
    if (!(words >> host.name)) continue;
    if (!is_host_name(host.name)) {
      fail(ExitCode::usage, "{}:{}: '{}' is no name of a host; save the file as plain text (UTF-8)",
           path, number, visible(host.name));
    }
    for (std::string word; words >> word;) {
      if (is_for_mpirun(word)) continue;
      if (word.rfind("slots=", 0) != 0) {
        fail(ExitCode::usage, "{}:{}: '{}' is not known; a line is: node1 slots=2", path, number,
             word);
      }
      host.slots = number_of(word.substr(6));
      if (host.slots == 0) {
        fail(ExitCode::usage, "{}:{}: '{}' is no number of ranks; write slots=2", path, number,
             word);
      }
    }
    out.hosts.push_back(host);
  }
  if (out.hosts.empty()) {
    fail(ExitCode::usage, "--hosts {}: the hostfile names no host; a line is: node1 slots=2", path);
  }
  return out;
}

}  // namespace

int Hosts::slots() const {
  int sum = 0;
  for (const Host& host : hosts) {
    if (host.slots == 0 && !file.empty()) return 0;
    sum += std::max(host.slots, 1);
  }
  return sum;
}

Hosts parse_hosts(const std::string& list_or_file) {
  std::error_code error;
  const bool file = std::filesystem::is_regular_file(list_or_file, error);
  return file ? parse_file(list_or_file) : parse_list(list_or_file);
}

Hosts with_slots(const Hosts& hosts, int ranks) {
  Hosts out = hosts;
  const bool none_said = std::none_of(out.hosts.begin(), out.hosts.end(),
                                      [](const Host& host) { return host.slots > 0; });
  if (out.file.empty() && none_said) {
    const int count = static_cast<int>(out.hosts.size());
    for (int i = 0; i < count; ++i) {
      out.hosts[static_cast<size_t>(i)].slots = ranks / count + (i < ranks % count ? 1 : 0);
    }
    std::erase_if(out.hosts, [](const Host& host) { return host.slots == 0; });
  }
  if (out.slots() > 0 && ranks > out.slots()) {
    fail(ExitCode::usage, "{} ranks do not fit on {}: {} slots. {}", ranks,
         out.file.empty() ? host_list(out) : out.file, out.slots(),
         out.file.empty() ? "Write the slots of each host: node1:2,node2:2"
                          : "Raise slots= of its lines, or give fewer ranks with -n");
  }
  return out;
}

std::string host_list(const Hosts& hosts) {
  std::string text;
  for (const Host& host : hosts.hosts) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", host.name, std::max(host.slots, 1));
  }
  return text;
}

}  // namespace troupe
