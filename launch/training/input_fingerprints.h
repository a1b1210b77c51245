// The fingerprints of what a run learns from: every file that was opened for its tokenizer and its
// texts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/text/corpus.h"
#include "launch/config/recorded_inputs.h"
#include "launch/config/run_config.h"
#include "launch/training/training_data.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// What one key names, and the files that were read for it.
struct Input {
  std::string key;
  std::string path;  // as configured
  CorpusFiles files;
};

// None for `byte`.
std::vector<Input> tokenizer_inputs(const RunConfig& config, const Tokenizer& tokenizer);
// data.train and data.val.
std::vector<Input> text_inputs(const RunConfig& config, const RunData& data);
// Those of them that the held-out text comes from.
std::vector<Input> held_out_inputs(const RunConfig& config, const RunData& data);

// Called on every rank now and then while files are hashed: `done` of the `total` bytes that this
// rank reads are. May throw.
using HashingWatch = std::function<void(int64_t done, int64_t total)>;

// A fingerprint for each file of the tokenizer and for each text; that of a folder or a pair covers
// names and bytes of its files. One rank of a host reads, and only what is not in `known`, the file
// of KnownHashes in a run directory (none where it is empty); with `keep` it is written anew.
// Collective. Unreadable, or a host has other bytes than the first: Error(data).
std::vector<RecordedInput> fingerprints(const std::vector<Input>& inputs, const std::string& known,
                                        bool keep, Communicator& world,
                                        const HashingWatch& watch = {});

}  // namespace troupe
