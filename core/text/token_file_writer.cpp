#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/byte_escape.h"
#include "core/text/token_file.h"
#include "core/text/token_index_layout.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemporaryEnd = ".tmp";

void sync_folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  const int file =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

void move_into_place(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    fail(ExitCode::resource, "{}: cannot be moved to {}: {}", from, to, std::strerror(errno));
}

}  // namespace

// One temporary file, locked against a second writer, hashed on the way, removed unless it was
// moved into place.
struct TokenFileWriter::Output {
  explicit Output(std::string final_path)
      : path(final_path + kTemporaryEnd), target(std::move(final_path)) {
    file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) fail(ExitCode::resource, "{}: cannot be written: {}", path, std::strerror(errno));
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      ::close(file);
      fail(ExitCode::resource, "{}: another process is writing it", path);
    }
    owned = true;
    if (::ftruncate(file, 0) != 0) stop("emptied");
  }
  ~Output() {
    if (owned) ::unlink(path.c_str());
    ::close(file);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  [[noreturn]] void stop(const char* what) {
    fail(ExitCode::resource, "{}: cannot be {}: {}", path, what, std::strerror(errno));
  }
  void write(const void* data, size_t size) {
    XXH3_64bits_update(hash.get(), data, size);
    buffer.append(static_cast<const char*>(data), size);
    if (buffer.size() >= (size_t{1} << 20)) flush();
  }
  void flush() {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count = ::write(file, buffer.data() + done, buffer.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) stop("written");
      done += static_cast<size_t>(count);
    }
    buffer.clear();
  }
  void sync() {
    flush();
    if (::fsync(file) != 0) stop("synced");
  }
  void commit() {
    move_into_place(path, target);
    owned = false;
  }

  std::string path;
  std::string target;
  std::string buffer;
  std::unique_ptr<XXH3_state_t, void (*)(XXH3_state_t*)> hash{
      [] {
        XXH3_state_t* state = XXH3_createState();
        XXH3_64bits_reset(state);
        return state;
      }(),
      [](XXH3_state_t* state) { XXH3_freeState(state); }};
  int file = -1;
  bool owned = false;
};

std::vector<std::string> remove_left_over(const std::string& prefix) {
  std::vector<std::string> removed;
  for (const char* extension : {".bin", ".idx", ".meta.json"}) {
    const std::string path = prefix + extension + kTemporaryEnd;
    std::error_code error;
    if (!fs::is_regular_file(fs::symlink_status(path, error))) continue;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) continue;
    const bool in_use = ::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    const bool gone = !in_use && ::unlink(path.c_str()) == 0;
    ::close(file);
    if (gone) removed.push_back(path);
  }
  return removed;
}

TokenFileWriter::TokenFileWriter(std::string prefix, TokenType type)
    : prefix_(std::move(prefix)), type_(type), bin_(std::make_unique<Output>(prefix_ + ".bin")) {
  require(type == TokenType::u8 || type == TokenType::u16 || type == TokenType::i32,
          "cannot write token ids of type {}", name(type));
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::add(std::span<const int32_t> ids) {
  constexpr int64_t kLongest = INT32_MAX;  // lengths are i32: a longer document gets more sequences
  const auto width = static_cast<size_t>(size_of(type_));
  const int64_t limit = width >= 4 ? INT64_MAX : int64_t{1} << (8 * width);
  std::string bytes;
  for (const int32_t id : ids) {
    require(id >= 0 && id < limit, "token id {} does not fit {}", id, name(type_));
    if (open_tokens_ == kLongest) end_sequence();
    const int64_t value = id;
    bytes.append(reinterpret_cast<const char*>(&value), width);  // little-endian
    ++open_tokens_;
  }
  bin_->write(bytes.data(), bytes.size());
  tokens_ += static_cast<int64_t>(ids.size());
}

void TokenFileWriter::end_sequence() {
  lengths_.push_back(static_cast<int32_t>(open_tokens_));
  open_tokens_ = 0;
}

void TokenFileWriter::end_document() {
  if (open_tokens_ > 0) end_sequence();
  document_index_.push_back(static_cast<int64_t>(lengths_.size()));
}

void TokenFileWriter::finish(std::optional<TokenFileOrigin> origin) {
  if (open_tokens_ > 0) end_document();
  bin_->sync();
  Output idx(prefix_ + ".idx");
  const uint64_t version = kIndexVersion;
  const auto code = static_cast<uint8_t>(type_);
  const uint64_t counts[2] = {lengths_.size(), document_index_.size()};
  idx.write(kIndexMagic, sizeof kIndexMagic);
  idx.write(&version, sizeof version);
  idx.write(&code, 1);
  idx.write(counts, sizeof counts);
  idx.write(lengths_.data(), 4 * lengths_.size());
  int64_t offset = 0;
  for (const int32_t length : lengths_) {
    idx.write(&offset, sizeof offset);
    offset += length * size_of(type_);
  }
  idx.write(document_index_.data(), 8 * document_index_.size());
  idx.sync();

  const std::string meta_path = prefix_ + ".meta.json";
  std::unique_ptr<Output> meta;
  if (origin) {
    nlohmann::ordered_json json = {
        {"tokenizer", escape_bytes(origin->tokenizer)},
        {"fingerprint", fmt::format("{:016x}", origin->fingerprint)},
        {"vocab", origin->vocab},
        {"tokens", tokens_},
        {"skipped_rows", origin->skipped_rows},
        {"bin_xxh3", fmt::format("{:016x}", XXH3_64bits_digest(bin_->hash.get()))}};
    if (origin->end_of_text) json["end_of_text"] = *origin->end_of_text;
    if (!origin->separator.empty()) {
      json["separator"] = origin->separator;
      json["separator_tokens"] = origin->separator_tokens;
      json["unmarked"] = origin->unmarked;
    }
    const std::string text =
        json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    meta = std::make_unique<Output>(meta_path);
    meta->write(text.data(), text.size());
    meta->sync();
  }
  // An older pair goes first: at no moment do an old and a new file stand together.
  ::unlink((prefix_ + ".idx").c_str());
  ::unlink(meta_path.c_str());
  sync_folder_of(prefix_);
  bin_->commit();
  if (meta) meta->commit();
  idx.commit();
  sync_folder_of(prefix_);
}

}  // namespace troupe
