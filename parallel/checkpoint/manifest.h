// The text /shards of a checkpoint in several files: which files, and which part of which tensor
// stands in which.
//
//   folder <name of the folder beside the manifest>
//   shard <digest of its seal> <bytes> <file in the folder>           one line a file
//   tensor <digest> <f64|f32|bf16|i64|i32|u8> <shape: 2x3, - for a single value> <name>
//   part <number of the shard, from 0> <offset: 0x3> <size: 2x3>      after its tensor
//
// Part k of a tensor is the dataset /NAME/part-k of its shard.
#pragma once

#include <string>
#include <vector>

#include "core/io/hash.h"
#include "core/parameter/layout.h"
#include "parallel/checkpoint/checkpoint.h"

namespace troupe::checkpoint {

struct ShardInfo {
  Digest seal;
  int64_t bytes = 0;
  std::string file;
};

struct StoredPart {
  int64_t shard = 0;
  Box box;
};

struct StoredTensor {
  TensorInfo info;
  std::vector<StoredPart> parts;  // disjoint, together the tensor
};

struct Manifest {
  std::string folder;
  std::vector<ShardInfo> shards;
  std::vector<StoredTensor> tensors;  // ordered by name
};

inline const std::string kShardsPath = "/shards";
// The dataset of part `part` in its shard.
std::string part_path(const std::string& tensor, size_t part);

std::string format_manifest(const Manifest& manifest);
// Error(checkpoint) when the text is not one of format_manifest(), a file lies elsewhere than in
// the folder, or parts overlap or leave elements out. `place` names the file.
Manifest parse_manifest(const std::string& text, const std::string& place);

}  // namespace troupe::checkpoint
