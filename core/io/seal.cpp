#include "core/io/seal.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "core/base/error.h"
#include "core/io/seal_words.h"

namespace troupe {
namespace {

constexpr std::string_view kTitle = "troupe checkpoint ";
constexpr size_t kLongestPath = 1024;

bool allowed_path(std::string_view path) {
  if (path.size() < 2 || path.size() > kLongestPath || path.front() != '/') return false;
  return std::all_of(path.begin(), path.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7f;
  });
}

std::string entry_line(const SealEntry& entry) {
  return fmt::format("{} {} {} {} {} {}\n", entry.digest.hex(), entry.offset, entry.bytes,
                     type_name(entry.dtype), shape_text(entry.shape), entry.path);
}

// The text of a seal up to and without its last line.
std::string body_of(const Seal& seal) {
  std::string text =
      fmt::format("{}{}\nblock {}\nsize {}\n", kTitle, kFormatVersion, seal.block, seal.size);
  for (const SealEntry& entry : seal.entries) text += entry_line(entry);
  return text + fmt::format("rest {}\n", seal.rest.hex());
}

// Reads fields and lines of the block; a miss is an Error(checkpoint).
class Reader {
 public:
  Reader(std::string_view text, const std::string& place) : text_(text), place_(place) {}

  [[noreturn]] void bad(const std::string& what) const {
    fail(ExitCode::checkpoint,
         "{}: its seal is damaged in line {}: {}. Take another checkpoint (troupe ckpt ls).",
         place_, line_, what);
  }
  bool at(std::string_view prefix) const { return text_.substr(at_, prefix.size()) == prefix; }
  void skip(std::string_view prefix) {
    if (!at(prefix)) bad(fmt::format("'{}' expected", prefix));
    at_ += prefix.size();
  }
  // Up to and past the next `end`.
  std::string_view until(char end) {
    const size_t stop = text_.find(end, at_);
    if (stop == std::string_view::npos) bad("it ends early");
    const std::string_view out = text_.substr(at_, stop - at_);
    at_ = stop + 1;
    if (end == '\n') ++line_;
    return out;
  }
  int64_t number(std::string_view text) const {
    const auto value = parse_whole(text);
    if (!value) bad("a whole number expected");
    return *value;
  }
  Shape shape(std::string_view text) const {
    const auto value = parse_shape(text);
    if (!value) bad(fmt::format("a shape of at most {} dims expected", kMaxRank));
    return *value;
  }
  Digest digest(std::string_view text) const {
    const auto value = Digest::parse(text);
    if (!value) bad("a digest of 32 hexadecimal digits expected");
    return *value;
  }
  size_t position() const { return at_; }

 private:
  std::string_view text_;
  const std::string& place_;
  size_t at_ = 0;
  int line_ = 1;
};

SealEntry parse_entry(Reader& reader) {
  SealEntry entry;
  entry.digest = reader.digest(reader.until(' '));
  entry.offset = reader.number(reader.until(' '));
  entry.bytes = reader.number(reader.until(' '));
  const std::string_view type = reader.until(' ');
  entry.dtype = parse_dtype(type);
  if (!entry.dtype && type != "text") reader.bad("unknown element type");
  entry.shape = reader.shape(reader.until(' '));
  entry.path = std::string(reader.until('\n'));
  if (!allowed_path(entry.path)) reader.bad("not a dataset's path");
  if (entry.dtype ? tensor_bytes(entry.shape, *entry.dtype) != entry.bytes
                  : entry.shape.rank() != 0 || entry.bytes < 1) {
    reader.bad(entry.path + ": shape, type and size do not fit");
  }
  if ((entry.bytes == 0) != (entry.offset == 0)) reader.bad(entry.path + ": offset of no data");
  return entry;
}

// Order, inside the file, no byte twice.
void check_entries(const Seal& seal, const Reader& reader) {
  std::vector<const SealEntry*> by_offset;
  for (size_t i = 0; i < seal.entries.size(); ++i) {
    const SealEntry& entry = seal.entries[i];
    if (i > 0 && seal.entries[i - 1].path >= entry.path) reader.bad(entry.path + ": out of order");
    if (entry.bytes > 0) by_offset.push_back(&entry);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  int64_t end = seal.block;
  for (const SealEntry* entry : by_offset) {
    if (entry->offset < end || entry->bytes > seal.size - entry->offset) {
      reader.bad(entry->path + ": lies over another part or outside the file");
    }
    end = entry->offset + entry->bytes;
  }
}

}  // namespace

std::string type_name(const std::optional<DType>& dtype) {
  return dtype ? std::string(name(*dtype)) : std::string("text");
}

const SealEntry* Seal::find(std::string_view path) const {
  const auto at =
      std::lower_bound(entries.begin(), entries.end(), path,
                       [](const SealEntry& entry, std::string_view p) { return entry.path < p; });
  return at == entries.end() || at->path != path ? nullptr : &*at;
}

int64_t seal_block_bytes(const std::vector<SealEntry>& entries) {
  Seal largest{.block = std::numeric_limits<int64_t>::max(),
               .size = std::numeric_limits<int64_t>::max(),
               .entries = entries,
               .rest = {}};
  for (SealEntry& entry : largest.entries) entry.offset = std::numeric_limits<int64_t>::max();
  const size_t bytes = body_of(largest).size() + std::string_view("seal \n").size() + 32;
  return std::max<int64_t>(kSmallestBlock, static_cast<int64_t>(std::bit_ceil(bytes)));
}

std::string format_seal(const Seal& seal) {
  for (const SealEntry& entry : seal.entries) {
    require(allowed_path(entry.path), "'{}' cannot be the path of a dataset", entry.path);
  }
  std::string text = body_of(seal);
  text += fmt::format("seal {}\n", digest_of(text).hex());
  require(static_cast<int64_t>(text.size()) <= seal.block && seal.block <= kLargestBlock,
          "a seal of {} bytes in a block of {}", text.size(), seal.block);
  text.resize(static_cast<size_t>(seal.block), '\0');
  return text;
}

int64_t announced_block(std::string_view first_bytes, const std::string& place) {
  if (first_bytes.substr(0, kTitle.size()) != kTitle) {
    fail(ExitCode::checkpoint,
         "{} is not a Troupe checkpoint: it does not begin with '{}'. Give a file that `troupe "
         "train` wrote.",
         place, kTitle.substr(0, kTitle.size() - 1));
  }
  Reader reader(first_bytes, place);
  reader.skip(kTitle);
  if (const int64_t version = reader.number(reader.until('\n')); version != kFormatVersion) {
    fail(ExitCode::checkpoint,
         "{} has format version {}; this program reads version {}. Use the program that wrote it.",
         place, version, kFormatVersion);
  }
  reader.skip("block ");
  const int64_t block = reader.number(reader.until('\n'));
  if (block < kSmallestBlock || block > kLargestBlock ||
      !std::has_single_bit(static_cast<uint64_t>(block))) {
    reader.bad(fmt::format("a block of {} bytes", block));
  }
  return block;
}

Seal parse_seal(std::string_view block, const std::string& place) {
  Seal seal;
  seal.block = announced_block(block.substr(0, kSmallestBlock), place);
  Reader reader(block, place);
  if (static_cast<int64_t>(block.size()) != seal.block) reader.bad("it is cut off");
  reader.until('\n');
  reader.until('\n');
  reader.skip("size ");
  seal.size = reader.number(reader.until('\n'));
  if (seal.size < seal.block) reader.bad("the file is smaller than its seal");
  while (!reader.at("rest ")) seal.entries.push_back(parse_entry(reader));
  reader.skip("rest ");
  seal.rest = reader.digest(reader.until('\n'));
  const Digest found = digest_of(block.substr(0, reader.position()));
  reader.skip("seal ");
  const Digest expected = reader.digest(reader.until('\n'));
  if (found != expected) {
    reader.bad(fmt::format("expected digest {}, found {}", expected.hex(), found.hex()));
  }
  check_entries(seal, reader);
  // One text for one seal: no other spelling of a number, nothing in the padding.
  if (format_seal(seal) != block) reader.bad("it is not in the form that Troupe writes");
  return seal;
}

}  // namespace troupe
