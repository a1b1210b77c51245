// A save into one file for each rank that writes, beside a manifest that makes it complete.
//
//   step-00001200.h5                the manifest
//   step-00001200.shards/           or .shards-2, ... where a folder of that name is in use
//     rank-0000.h5, ...
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "core/io/sealed_file.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/save_target.h"

namespace troupe::checkpoint {

class ShardFiles : public SaveTarget {
 public:
  ShardFiles(const SaveRequest& request, int rank);
  // The files of a save that did not finish go with it.
  ~ShardFiles() override;
  std::string create() override;
  bool join(const std::string& told) override;
  std::vector<Digest> write(const std::vector<OwnShare>& shares, std::string& report) override;
  void all_written(const std::vector<std::string>& reports) override;
  void read(size_t tensor, const Box& piece, std::byte* out) override;
  void finish(const std::vector<Digest>& digests) override;

 private:
  std::string folder_path() const;
  const SealedFile& shard(int64_t number);

  const SaveRequest& request_;
  int rank_;
  bool made_ = false;  // by this rank, and not yet complete
  Manifest manifest_;  // digests of tensors come last
  std::map<int64_t, SealedFile> open_;
};

// Removes a folder of shards, but for files in it that no save made. Why something stays, if so.
std::error_code remove_shards(const std::string& folder);

}  // namespace troupe::checkpoint
