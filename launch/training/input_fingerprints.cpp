#include "launch/training/input_fingerprints.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "launch/config/scalar.h"
#include "launch/training/file_hashing.h"
#include "parallel/comm/agreement.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
const std::string kSite = "fingerprints of inputs";

std::string absolute(const std::string& path) {
  return fs::absolute(path).lexically_normal().string();
}

std::string last_part(const std::string& path) {
  const fs::path normal = fs::path(absolute(path));
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

std::vector<FileToHash> files_of(const std::vector<Input>& inputs) {
  std::vector<FileToHash> files;
  for (const Input& input : inputs) {
    for (const CorpusFile& file : input.files.list)
      files.push_back({absolute(file.path), file.hash});
  }
  return files;
}

// The lowest rank of each host, in rank order.
std::vector<int> readers(Communicator& world) {
  const std::vector<std::string> nodes = gather_texts(std::to_string(world.node()), world, kSite);
  std::vector<int> ranks;
  for (size_t rank = 0; rank < nodes.size(); ++rank) {
    if (std::find(nodes.begin(), nodes.end(), nodes[rank]) ==
        nodes.begin() + static_cast<std::ptrdiff_t>(rank)) {
      ranks.push_back(static_cast<int>(rank));
    }
  }
  return ranks;
}

bool any_rank(bool mine, Communicator& world) {
  uint8_t vote = mine ? 1 : 0;
  std::vector<uint8_t> votes(static_cast<size_t>(world.size()));
  world.all_gather(bytes_view(&vote, 1), bytes_view(votes.data(), world.size()), kSite).finish();
  return std::any_of(votes.begin(), votes.end(), [](uint8_t each) { return each != 0; });
}

// This rank's work, if it has some, to its end. Between slices all ranks hear of each other, so
// none takes one that reads a large file for lost. Collective.
std::unique_ptr<FileHashing> hash_together(
    const std::function<std::unique_ptr<FileHashing>()>& begin, Communicator& world,
    const HashingWatch& watch) {
  constexpr std::chrono::milliseconds kSlice(500);
  std::unique_ptr<FileHashing> work;
  agree(attempt([&] { work = begin(); }), world, kSite);
  for (bool busy = true; busy;) {
    bool mine = false;
    agree(attempt([&] {
            if (work) mine = !work->advance(kSlice);
            if (watch) watch(work ? work->done() : 0, work ? work->total() : 0);
          }),
          world, kSite);
    busy = any_rank(mine, world);
  }
  return work;
}

// One hash of the hashes and names of its files, or that of a single text itself.
uint64_t hash_of(const Input& input, const FileHashing& hashing) {
  if (input.files.kind == "text" || input.files.kind == "jsonl") {
    return hashing.hash(absolute(input.files.list.front().path));
  }
  std::string all;
  for (const CorpusFile& file : input.files.list) {
    all += fmt::format("{:016x} ", hashing.hash(absolute(file.path))) + file.name + '\0';
  }
  return XXH3_64bits(all.data(), all.size());
}

std::vector<RecordedInput> recorded(const std::vector<Input>& inputs, const FileHashing& hashing) {
  std::vector<RecordedInput> out;
  for (const Input& input : inputs) {
    if (input.files.kind != "tokenizer") {
      out.push_back({input.key, input.files.kind, hash_of(input, hashing),
                     format_text(last_part(input.path))});
      continue;
    }
    for (const CorpusFile& file : input.files.list) {
      out.push_back(
          {input.key, input.files.kind, hashing.hash(absolute(file.path)), format_text(file.name)});
    }
  }
  return out;
}

// Ranks that learn from other bytes than the first would spoil the model without any sign of it.
void compare_hosts(const std::vector<RecordedInput>& first, const std::vector<RecordedInput>& other,
                   int rank) {
  for (size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    if (i < first.size() && i < other.size() && first[i].kind == other[i].kind &&
        first[i].hash == other[i].hash) {
      continue;
    }
    const std::string here = i < first.size() ? shown(first[i]) : "absent";
    const std::string there = i < other.size() ? shown(other[i]) : "absent";
    fail(ExitCode::data,
         "{}: the host of rank 0 has {}, that of rank {} has {}: give all hosts the same files",
         i < first.size() ? first[i].key : other[i].key, here, rank, there);
  }
}

}  // namespace

std::vector<Input> tokenizer_inputs(const RunConfig& config, const Tokenizer& tokenizer) {
  Input input{"data.tokenizer", config.data.tokenizer, {"tokenizer", {}}};
  for (const std::string& path : tokenizer.files()) {
    input.files.list.push_back({path, last_part(path), {}});
  }
  return input.files.list.empty() ? std::vector<Input>{} : std::vector<Input>{std::move(input)};
}

std::vector<Input> text_inputs(const RunConfig& config, const RunData& data) {
  std::vector<Input> inputs;
  const bool single = config.values.has("data.train");
  for (size_t i = 0; i < data.train.parts.size(); ++i) {
    const CorpusPart& part = data.train.parts[i];
    inputs.push_back(
        {single ? "data.train" : fmt::format("data.train[{}].path", i), part.path, part.files});
  }
  if (config.data.val.empty()) return inputs;
  for (const CorpusPart& part : data.held_out.parts) {
    inputs.push_back({"data.val", part.path, part.files});
  }
  return inputs;
}

std::vector<Input> held_out_inputs(const RunConfig& config, const RunData& data) {
  std::vector<Input> inputs = text_inputs(config, data);
  if (!config.data.val.empty()) {
    std::erase_if(inputs, [](const Input& input) { return input.key != "data.val"; });
  }
  return inputs;
}

std::vector<RecordedInput> fingerprints(const std::vector<Input>& inputs, const std::string& known,
                                        bool keep, Communicator& world, const HashingWatch& watch) {
  if (inputs.empty()) return {};
  const std::vector<FileToHash> files = files_of(inputs);
  const std::vector<int> reading = readers(world);
  const bool leader = world.rank() == 0;
  std::unique_ptr<FileHashing> hashing = hash_together(
      [&]() -> std::unique_ptr<FileHashing> {
        if (!leader) return nullptr;
        return std::make_unique<FileHashing>(
            files, known.empty() ? KnownHashes() : KnownHashes::read(known), true);
      },
      world, watch);
  if (reading.size() > 1) {
    // A file with the leader's stamp is the leader's file, on a disk that both see.
    const std::string of_leader =
        broadcast_text(leader ? hashing->known_now().text() : "", 0, world, kSite);
    const bool mine =
        !leader && std::find(reading.begin(), reading.end(), world.rank()) != reading.end();
    std::unique_ptr<FileHashing> own = hash_together(
        [&]() -> std::unique_ptr<FileHashing> {
          if (!mine) return nullptr;
          return std::make_unique<FileHashing>(files, KnownHashes::parse(of_leader), false);
        },
        world, watch);
    if (mine) hashing = std::move(own);
  }
  agree(attempt([&] {
          if (leader && keep && !known.empty()) {
            write_file_atomically(known, hashing->known_now().text());
          }
        }),
        world, kSite);
  const std::vector<std::string> all =
      gather_texts(hashing ? input_lines(recorded(inputs, *hashing)) : "", world, kSite);
  const std::vector<RecordedInput> first = recorded_inputs(all.front());
  for (const int rank : reading) {
    compare_hosts(first, recorded_inputs(all[static_cast<size_t>(rank)]), rank);
  }
  return first;
}

}  // namespace troupe
