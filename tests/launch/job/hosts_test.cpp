#include "launch/job/hosts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "launch/job/private_directory.h"

namespace troupe {
namespace {

std::string refusal(const std::string& text) {
  try {
    parse_hosts(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

TEST(Hosts, AList) {
  const Hosts hosts = parse_hosts("a:2,b,10.77.0.2:3");
  EXPECT_EQ(host_list(hosts), "a:2,b:1,10.77.0.2:3");
  EXPECT_EQ(hosts.slots(), 6);
}

TEST(Hosts, WhatIsWrongIsNamed) {
  EXPECT_NE(refusal("a:2,b:x").find("'b:x' is neither HOST nor HOST:SLOTS"), std::string::npos);
  EXPECT_NE(refusal("a:0").find("'a:0'"), std::string::npos);
  EXPECT_NE(refusal("a,,b").find("'' is neither"), std::string::npos);
  EXPECT_NE(refusal("").find("names no host"), std::string::npos);
  EXPECT_NE(refusal("a:2,").find("ends with a comma"), std::string::npos);
  EXPECT_NE(refusal("some/file").find("nor is the whole a hostfile that exists"),
            std::string::npos);
}

TEST(Hosts, AListWithoutNumbersSharesTheRanks) {
  EXPECT_EQ(host_list(with_slots(parse_hosts("a,b"), 4)), "a:2,b:2");
  EXPECT_EQ(host_list(with_slots(parse_hosts("a,b,c"), 4)), "a:2,b:1,c:1");
  EXPECT_EQ(host_list(with_slots(parse_hosts("a,b,c"), 2)), "a:1,b:1");
  EXPECT_EQ(host_list(with_slots(parse_hosts("a:2,b"), 3)), "a:2,b:1");
  EXPECT_THROW(with_slots(parse_hosts("a:2,b"), 4), Error);
}

TEST(Hosts, AHostfile) {
  const PrivateDirectory folder("/tmp");
  const std::string path = folder.path() + "/hosts";
  std::ofstream(path) << "# two machines\nnode1 slots=2 max-slots=4\n\nnode2 slots=3 # fast\n";
  const Hosts hosts = parse_hosts(path);
  EXPECT_EQ(hosts.file, path);
  EXPECT_EQ(host_list(hosts), "node1:2,node2:3");
  EXPECT_EQ(hosts.slots(), 5);
  EXPECT_EQ(with_slots(hosts, 5).file, path);
  EXPECT_THROW(with_slots(hosts, 6), Error);
  std::ofstream(path) << "node1\nnode2 slots=2\n";  // OpenMPI counts the cores of node1
  EXPECT_EQ(parse_hosts(path).slots(), 0);
  EXPECT_EQ(with_slots(parse_hosts(path), 64).hosts.size(), 2U);
  std::ofstream(path) << "node1 slot=2\n";
  EXPECT_NE(refusal(path).find("hosts:1: 'slot=2' is not known"), std::string::npos);
  std::ofstream(path) << "node1 slots=2\nnode2 slots=two\n";
  EXPECT_NE(refusal(path).find("hosts:2: 'slots=two' is no number"), std::string::npos);
  std::ofstream(path) << "# nothing\n";
  EXPECT_NE(refusal(path).find("names no host"), std::string::npos);
}

// Notepad ends lines with CR LF and may begin with a byte order mark. OpenMPI gets a copy that it
// can read.
TEST(Hosts, AHostfileFromWindows) {
  const PrivateDirectory folder("/tmp");
  const std::string path = folder.path() + "/hosts";
  const std::string plain = "# two machines\nnode1 slots=2\n\nnode2 slots=3\n";
  for (const std::string mark : {"", "\xef\xbb\xbf"}) {
    for (const std::string end : {"\n", "\r\n", "\r"}) {
      std::string text = mark;
      for (const char c : plain) text += c == '\n' ? end : std::string(1, c);
      std::ofstream(path, std::ios::binary) << text;
      const Hosts hosts = parse_hosts(path);
      EXPECT_EQ(host_list(hosts), "node1:2,node2:3");
      EXPECT_EQ(hosts.rewritten, text == plain ? "" : plain);
    }
  }
  std::ofstream(path, std::ios::binary) << "\xef\xbb\xbfnode1\r\nnode2 slot=2\r\n";
  EXPECT_NE(refusal(path).find("hosts:2: 'slot=2' is not known"), std::string::npos);
  std::ofstream(path, std::ios::binary) << "node1 slots=2\nn\xc3\xb6"
                                           "de2 slots=2\n";
  EXPECT_NE(refusal(path).find("hosts:2: 'n\\xc3\\xb6de2' is no name of a host"), std::string::npos)
      << refusal(path);
  std::ofstream(path, std::ios::binary) << std::string("\xff\xfen\0o\0", 6);  // UTF-16
  EXPECT_NE(refusal(path).find("hosts:1: '\\xff\\xfen"), std::string::npos) << refusal(path);
}

}  // namespace
}  // namespace troupe
