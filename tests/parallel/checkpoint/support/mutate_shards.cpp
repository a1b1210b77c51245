#include "tests/parallel/checkpoint/support/mutate_shards.h"

#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/file_reader.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/stored.h"
#include "tests/parallel/checkpoint/support/mutate.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRoom = 400;

Seal seal_of(const std::string& file) {
  const auto block = static_cast<size_t>(announced_block(file.substr(0, kSmallestBlock), "file"));
  return parse_seal(file.substr(0, block), "file");
}

const std::vector<std::string>& words_of_a_manifest() {
  static const std::vector<std::string> words = {"folder",
                                                 "shard",
                                                 "tensor",
                                                 "part",
                                                 "..",
                                                 ".",
                                                 "/etc/passwd",
                                                 "../step-00000001.h5",
                                                 "step-00000007.shards",
                                                 "rank-0000.h5",
                                                 "rank-0001.h5",
                                                 "rank-0002.h5",
                                                 "parameters/w",
                                                 "f32",
                                                 "f64",
                                                 "u8",
                                                 "-",
                                                 "0",
                                                 "0x0",
                                                 "2x0",
                                                 "2x3",
                                                 "4x3",
                                                 "1x1x1x1x1x1x1x1x1",
                                                 "4611686018427387904x4611686018427387904",
                                                 "0x9223372036854775807",
                                                 ""};
  return words;
}

int64_t odd_number(Dice& dice) {
  constexpr std::array<int64_t, 6> numbers = {0, 1, 2, 1LL << 31, 1LL << 62, INT64_MAX};
  return numbers[dice.below(numbers.size())];
}

void change_part(checkpoint::StoredTensor& tensor, Dice& dice) {
  if (tensor.parts.empty()) return;
  auto& parts = tensor.parts;
  const auto at = parts.begin() + static_cast<std::ptrdiff_t>(dice.below(parts.size()));
  const int rank = at->box.size.rank();
  const int dim = rank == 0 ? 0 : static_cast<int>(dice.below(static_cast<uint64_t>(rank)));
  switch (dice.below(rank == 0 ? 3 : 6)) {
    case 0:
      parts.erase(at);
      break;
    case 1:
      parts.push_back(*at);
      break;
    case 2:
      at->shard = 1 - at->shard;
      break;
    case 3:
      at->box.offset[dim] = odd_number(dice);
      break;
    case 4:
      at->box.size[dim] = odd_number(dice);
      break;
    default:
      std::swap(*at, parts.front());
  }
}

// Lists that the parser may accept and that yet are not those of the shards.
std::string changed_list(const std::string& text, Dice& dice) {
  checkpoint::Manifest list = checkpoint::parse_manifest(text, "original");
  auto& tensor = list.tensors[dice.below(list.tensors.size())];
  auto& shape = tensor.info.shape;
  switch (dice.below(9)) {
    case 0:
      list.folder = dice.one_in(2) ? "../checkpoints" : "/tmp";
      break;
    case 1:
      std::swap(list.shards[0].file, list.shards[1].file);
      break;
    case 2:
      list.shards.pop_back();
      break;
    case 3:
      if (shape.rank() > 0) shape[0] = odd_number(dice);
      break;
    case 4:
      tensor.info.dtype = DType::i64;
      break;
    case 5:
      std::swap(list.tensors[0].info, tensor.info);
      break;
    default:
      change_part(tensor, dice);
  }
  return checkpoint::format_manifest(list);
}

void change_shards(ShardedBytes& files, const ShardedBytes& other, Dice& dice) {
  auto& shard = files.shards[dice.below(files.shards.size())];
  const auto number = static_cast<size_t>(&shard - files.shards.data());
  switch (dice.below(6)) {
    case 0:
      std::swap(files.shards[0], files.shards[1]);
      break;
    case 1:
      shard = other.shards[number];
      break;
    case 2:
      shard.reset();
      break;
    case 3:
      shard->resize(dice.below(shard->size()));
      break;
    case 4:
      shard = files.manifest;
      break;
    default:
      files.manifest = other.manifest;
  }
}

}  // namespace

std::string manifest_path(const std::string& run, int64_t step) {
  return checkpoint::directory_of(run) + "/" + checkpoint::file_name(step);
}

std::string shard_path(const std::string& run, int64_t step, size_t shard) {
  const std::string manifest = manifest_path(run, step);
  return fmt::format("{}.shards/rank-{:04}.h5", manifest.substr(0, manifest.size() - 3), shard);
}

void write_sharded(const std::string& run, int64_t step, const ShardedBytes& files) {
  fs::create_directories(fs::path(shard_path(run, step, 0)).parent_path());
  write_file(manifest_path(run, step), files.manifest);
  for (size_t i = 0; i < files.shards.size(); ++i) {
    const std::string path = shard_path(run, step, i);
    if (files.shards[i]) {
      write_file(path, *files.shards[i]);
    } else {
      fs::remove(path);
    }
  }
}

ShardedBytes read_sharded(const std::string& run, int64_t step) {
  ShardedBytes out;
  const std::string path = manifest_path(run, step);
  for (size_t i = 0; fs::exists(shard_path(run, step, i)); ++i) {
    out.shards.push_back(read_file(shard_path(run, step, i)));
  }
  const SealedFile file(path);
  checkpoint::FileContents contents;
  contents.texts = {
      {checkpoint::kConfigPath, checkpoint::read_info(path).config},
      {checkpoint::kShardsPath, checkpoint::shards_text(file) + std::string(kRoom, '\0')}};
  contents.scalars = checkpoint::read_scalars(file);
  checkpoint::FileWriter writer(path + ".roomy", std::move(contents));
  writer.create();
  writer.commit({});
  out.manifest = read_file(path + ".roomy");
  fs::remove(path + ".roomy");
  return out;
}

std::string list_of(const std::string& manifest) {
  const Seal seal = seal_of(manifest);
  const SealEntry* entry = seal.find(checkpoint::kShardsPath);
  std::string out =
      manifest.substr(static_cast<size_t>(entry->offset), static_cast<size_t>(entry->bytes));
  out.resize(std::strlen(out.c_str()));
  return out;
}

bool write_list(std::string& manifest, const std::string& text) {
  const Seal seal = seal_of(manifest);
  const SealEntry* entry = seal.find(checkpoint::kShardsPath);
  if (text.size() > static_cast<size_t>(entry->bytes)) return false;
  std::string padded = text;
  padded.resize(static_cast<size_t>(entry->bytes), '\0');
  manifest.replace(static_cast<size_t>(entry->offset), padded.size(), padded);
  mend(manifest, static_cast<size_t>(seal.block));
  return true;
}

void adopt_shards(ShardedBytes& files) {
  try {
    checkpoint::Manifest list = checkpoint::parse_manifest(list_of(files.manifest), "list");
    for (size_t i = 0; i < files.shards.size(); ++i) {
      if (!files.shards[i]) continue;
      const Seal seal = seal_of(*files.shards[i]);
      list.shards[i].seal = digest_of(format_seal(seal));
      list.shards[i].bytes = seal.size;
    }
    write_list(files.manifest, checkpoint::format_manifest(list));
  } catch (const Error&) {
    return;  // refused earlier
  }
}

ShardedBytes shard_mutant(const ShardedBytes& original, const ShardedBytes& other,
                          uint64_t number) {
  Dice dice(number, "fuzz shards");
  ShardedBytes files = original;
  switch (dice.below(10)) {
    case 0:
    case 1:
    case 2: {
      std::string text = list_of(files.manifest);
      for (uint64_t i = 0; i <= dice.below(3); ++i) mutate_text(text, dice, words_of_a_manifest());
      write_list(files.manifest, text);
      break;
    }
    case 3:
    case 4:
    case 5:
      write_list(files.manifest, changed_list(list_of(files.manifest), dice));
      break;
    case 6:
      files.manifest = mutant(original.manifest, number);
      break;
    case 7:
    case 8: {
      auto& shard = files.shards[dice.below(files.shards.size())];
      shard = mutant(*shard, number);
      if (!dice.one_in(3)) adopt_shards(files);
      break;
    }
    default:
      change_shards(files, other, dice);
      if (dice.one_in(2)) adopt_shards(files);
  }
  return files;
}

}  // namespace troupe::test
