#include "launch/training/input_fingerprints.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "core/base/error.h"
#include "launch/training/file_hashing.h"
#include "launch/training/known_hashes.h"
#include "parallel/comm/group_communicator.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_transport.h"
#include "tests/launch/run_dir.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

class InputFingerprints : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    testing::write_text(dir_ / name, text);
    return path(name);
  }
  std::vector<Input> text(const std::string& file) const {
    return {{"data.train", file, {"text", {{file, "text.txt", {}}}}}};
  }
  std::string known() const { return path(kKnownHashesFile); }

  testing::RunDir dir_;
};

uint64_t hash_of(const std::string& text) { return XXH3_64bits(text.data(), text.size()); }

// As though the file had been hashed in an earlier start.
KnownHashes entry(const std::string& path, uint64_t hash) {
  KnownHashes known;
  known.add(path, stamp_of(path), hash);
  return known;
}

uint64_t hashed(const FileToHash& file, const KnownHashes& known, bool doubt) {
  FileHashing hashing({file}, known, doubt);
  while (!hashing.advance(std::chrono::milliseconds(10))) {
  }
  return hashing.hash(file.path);
}

TEST(KnownHashesFile, ReadsBackAsWritten) {
  KnownHashes known;
  const FileStamp stamp{12, 345, -6, 789};
  known.add("/a b/c", stamp, 0xfedcba9876543210);
  known.add("/line\nbreak", stamp, 1);
  const KnownHashes again = KnownHashes::parse(known.text() + "damaged\n12 13\n");
  EXPECT_EQ(again.text(), known.text());
  EXPECT_EQ(again.find("/a b/c", stamp), 0xfedcba9876543210);
  for (const FileStamp& other : {FileStamp{13, 345, -6, 789}, FileStamp{12, 346, -6, 789},
                                 FileStamp{12, 345, -5, 789}, FileStamp{12, 345, -6, 788}}) {
    EXPECT_FALSE(again.find("/a b/c", other));
  }
  EXPECT_FALSE(again.has("/line"));
  EXPECT_TRUE(KnownHashes::read("/no/such/file").text().empty());
  EXPECT_TRUE(KnownHashes::read(TROUPE_SOURCE_DIR).text().empty());  // a folder
}

TEST_F(InputFingerprints, AnUnchangedFileIsNotReadAgain) {
  const std::string path = file("text.txt", "the text");
  // A hash that is not that of the bytes tells that they were not read.
  EXPECT_EQ(hashed({path, {}}, entry(path, 5), true), 5U);
  file("text.txt", "the test");
  KnownHashes other;
  other.add(path, FileStamp{1, 8, 1, 1}, 5);
  EXPECT_EQ(hashed({path, {}}, other, true), hash_of("the test"));
}

TEST_F(InputFingerprints, AHashThatAFileBesideSaysIsTakenUntilTheFileChanges) {
  const std::string path = file("t.bin", "tokens");
  EXPECT_EQ(hashed({path, 7}, {}, true), 7U);
  EXPECT_EQ(hashed({path, 7}, entry(path, 5), true), 5U);
  KnownHashes other;
  other.add(path, FileStamp{1, 6, 1, 1}, 7);
  EXPECT_EQ(hashed({path, 7}, other, true), hash_of("tokens"));
  EXPECT_EQ(hashed({path, 7}, other, false), 7U);
}

TEST_F(InputFingerprints, StampsAreKeptInTheRunDirectory) {
  const std::string licence = TROUPE_SOURCE_DIR "/LICENSE";  // written long ago
  const auto first = fingerprints(text(licence), known(), true, *self_communicator());
  EXPECT_EQ(first[0].hash, hash_of(testing::read_text(licence)));
  EXPECT_EQ(KnownHashes::read(known()).find(licence, stamp_of(licence)), first[0].hash);
  testing::write_text(known(), entry(licence, 5).text());
  EXPECT_EQ(fingerprints(text(licence), known(), false, *self_communicator())[0].hash, 5U);
}

TEST_F(InputFingerprints, WhatWasJustWrittenIsReadAgain) {
  const std::string path = file("text.txt", "the text");
  const auto world = self_communicator();
  EXPECT_EQ(fingerprints(text(path), known(), true, *world)[0].hash, hash_of("the text"));
  EXPECT_FALSE(KnownHashes::read(known()).find(path, stamp_of(path)));
  EXPECT_TRUE(KnownHashes::read(known()).has(path));
}

TEST_F(InputFingerprints, OfAFolderCoverNamesAndBytes) {
  const std::string a = file("a", "first");
  const std::string b = file("b", "second");
  const auto of = [&](const std::vector<CorpusFile>& files) {
    return fingerprints({{"data.train", dir_.path().string(), {"folder", files}}}, "", false,
                        *self_communicator());
  };
  const auto both = of({{a, "a", {}}, {b, "b", {}}});
  ASSERT_EQ(both.size(), 1U);
  EXPECT_EQ(both[0].name, dir_.path().filename().string());
  EXPECT_EQ(both, of({{a, "a", {}}, {b, "b", {}}}));
  EXPECT_NE(both, of({{a, "a", {}}, {b, "c", {}}}));
  EXPECT_NE(both, of({{a, "a", {}}}));
  file("b", "secomd");
  EXPECT_NE(both, of({{a, "a", {}}, {b, "b", {}}}));
}

TEST_F(InputFingerprints, OfATokenizerHaveALineForEachFile) {
  const std::string vocab = file("vocab.json", "{}");
  const std::string merges = file("merges.txt", "a b");
  const auto all =
      fingerprints({{"data.tokenizer",
                     dir_.path().string(),
                     {"tokenizer", {{vocab, "vocab.json", {}}, {merges, "merges.txt", {}}}}}},
                   "", false, *self_communicator());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1], (RecordedInput{"data.tokenizer", "tokenizer", hash_of("a b"), "merges.txt"}));
}

// Four ranks on two hosts.
void on_two_hosts(const std::function<void(int, Communicator&)>& f) {
  auto exchange = std::make_shared<ThreadExchange>(4);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 4; ++rank) {
    threads.emplace_back([&, rank] {
      CommOptions options;
      options.node = rank / 2;
      options.timeout = std::chrono::seconds(60);
      const auto world = GroupCommunicator::of_all(thread_transport(exchange, rank), options);
      f(rank, *world);
      exchange->end(rank);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(InputFingerprints, OneRankOfAHostReadsAndAllHaveTheValue) {
  const std::string here = file("text.txt", "the text");
  const std::string there = file("copy.txt", "the text");
  on_two_hosts([&](int rank, Communicator& world) {
    // Ranks that do not read have no such file.
    const std::string path = rank == 0 ? here : rank == 2 ? there : this->path("none");
    const auto all = fingerprints(text(path), known(), true, world);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].hash, hash_of("the text"));
  });
  EXPECT_TRUE(KnownHashes::read(known()).has(here));
}

TEST_F(InputFingerprints, AHostWithOtherBytesIsNamed) {
  const std::string here = file("text.txt", "the text");
  const std::string there = file("copy.txt", "the test");
  on_two_hosts([&](int rank, Communicator& world) {
    try {
      fingerprints(text(rank < 2 ? here : there), "", false, world);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_NE(std::string(error.what()).find("rank 2"), std::string::npos) << error.what();
    }
  });
}

TEST_F(InputFingerprints, AFileThatOneRankCannotReadEndsAll) {
  const std::string here = file("text.txt", "the text");
  on_two_hosts([&](int rank, Communicator& world) {
    EXPECT_THROW(fingerprints(text(rank < 2 ? here : path("none")), "", false, world), Error);
  });
}

TEST_F(InputFingerprints, AWatchThatThrowsOnOneRankEndsAll) {
  const std::string here = file("text.txt", "the text");
  on_two_hosts([&](int rank, Communicator& world) {
    const auto watch = [&](int64_t, int64_t) {
      if (rank == 3) fail(ExitCode::interrupted, "asked to stop");
    };
    try {
      fingerprints(text(here), "", false, world, watch);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::interrupted);
    }
  });
}

}  // namespace
}  // namespace troupe
