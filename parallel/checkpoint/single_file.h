// A save into one file, into which every rank puts its own shares.
#pragma once

#include <memory>
#include <optional>

#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/save_target.h"

namespace troupe::checkpoint {

class SingleFile : public SaveTarget {
 public:
  // `leader`: this is rank 0. The temporary file of a save that did not finish goes with it.
  SingleFile(const SaveRequest& request, bool leader);
  std::string create() override;
  bool join(const std::string& told) override;
  std::vector<Digest> write(const std::vector<OwnShare>& shares, std::string& report) override;
  void all_written(const std::vector<std::string>& reports) override;
  void read(size_t tensor, const Box& piece, std::byte* out) override;
  void finish(const std::vector<Digest>& digests) override;

  // For rank 0 where it writes what the others send: any box of a tensor, packed; then sync.
  void put(size_t tensor, const Box& piece, const std::byte* data);
  void sync();

 private:
  PosixFile& open_to_write();

  const SaveRequest& request_;
  std::optional<FileWriter> writer_;  // rank 0
  std::string temporary_;
  std::vector<int64_t> places_;
  std::optional<PosixFile> out_;
  std::optional<PosixFile> in_;
};

// Words that no other process writes: they show that two ranks see the same file.
std::string unique_words();

}  // namespace troupe::checkpoint
