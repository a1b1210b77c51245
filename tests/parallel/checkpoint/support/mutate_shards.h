// A small checkpoint in several files, and mutants of it: words of the manifest changed, parts
// moved, dropped or doubled, shards damaged, swapped, cut or gone. Mostly all digests are right
// again, those of the shards in the manifest too, so that the checks behind them are reached.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::test {

struct ShardedBytes {
  std::string manifest;
  std::vector<std::optional<std::string>> shards;  // none: the file is missing
};

// Where the files of a step stand in a run directory.
std::string manifest_path(const std::string& run, int64_t step);
std::string shard_path(const std::string& run, int64_t step, size_t shard);
void write_sharded(const std::string& run, int64_t step, const ShardedBytes& files);
// Files in the folder and shards line by line, of a manifest saved on the disk. The text of its
// list of parts has room for longer ones (write_list()).
ShardedBytes read_sharded(const std::string& run, int64_t step);

// The text /shards; and another one put in its place, with digests that are right again. False:
// too long.
std::string list_of(const std::string& manifest);
bool write_list(std::string& manifest, const std::string& text);
// Writes the seals of the shards as they are now into the list, where they can be read.
void adopt_shards(ShardedBytes& files);

// Mutant number `number` of `original`. `other`: the same checkpoint of another step.
ShardedBytes shard_mutant(const ShardedBytes& original, const ShardedBytes& other, uint64_t number);

}  // namespace troupe::test
