#include <cstring>

#include "core/base/error.h"
#include "core/text/token_file.h"
#include "core/text/token_index_layout.h"

namespace troupe {
namespace {

template <typename T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// The fixed part; sizes are proven to fit the file before anything is read from the tables.
TokenIndex parse_header(std::string_view idx, const std::string& place, int64_t& document_entries) {
  const auto size = static_cast<int64_t>(idx.size());
  if (size < kIndexFixedBytes)
    fail(ExitCode::data, "{}: {} bytes are too few for a token index (its fixed part has {})",
         place, size, kIndexFixedBytes);
  if (idx.substr(0, sizeof kIndexMagic) != std::string_view(kIndexMagic, sizeof kIndexMagic))
    fail(ExitCode::data, "{}: is not a token index (it does not begin with MMIDIDX)", place);
  const auto version = load<uint64_t>(idx.data() + 9);
  if (version != kIndexVersion)
    fail(ExitCode::data, "{}: has format version {}; version {} can be read", place, version,
         kIndexVersion);
  const auto code = load<uint8_t>(idx.data() + 17);
  if (code < 1 || code > 8)
    fail(ExitCode::data, "{}: has type code {}; 1 to 8 are known", place, code);
  TokenIndex index;
  index.type = static_cast<TokenType>(code);
  if (index.type == TokenType::f32 || index.type == TokenType::f64)
    fail(ExitCode::data, "{}: holds {} values, not token ids", place, name(index.type));
  const auto sequences = load<uint64_t>(idx.data() + 18);
  const auto documents = load<uint64_t>(idx.data() + 26);
  const auto room = static_cast<uint64_t>(size - kIndexFixedBytes);
  if (sequences > room / 12 || documents > (room - 12 * sequences) / 8)
    fail(ExitCode::data,
         "{}: names {} sequences and {} document entries, too many for its {} bytes "
         "(truncated?)",
         place, sequences, documents, size);
  const uint64_t rest = room - 12 * sequences - 8 * documents;
  if (rest != 0 && rest != sequences)  // the optional modes of multimodal data: one byte a sequence
    fail(ExitCode::data, "{}: has {} bytes more than its {} sequences and {} document entries need",
         place, rest, sequences, documents);
  if (documents == 0)
    fail(ExitCode::data, "{}: its document list is empty; it must begin with 0", place);
  index.sequences = static_cast<int64_t>(sequences);
  index.documents = static_cast<int64_t>(documents) - 1;
  document_entries = static_cast<int64_t>(documents);
  return index;
}

}  // namespace

TokenIndex parse_token_index(std::string_view idx, int64_t bin_bytes, const std::string& place) {
  int64_t entries = 0;
  TokenIndex index = parse_header(idx, place, entries);
  const int64_t width = size_of(index.type);
  const char* lengths = idx.data() + kIndexFixedBytes;
  const char* offsets = lengths + 4 * index.sequences;
  const char* documents = offsets + 8 * index.sequences;
  std::vector<int64_t> starts;  // token position of each document entry
  int64_t entry = 0;
  int64_t next_document = load<int64_t>(documents);
  if (next_document != 0)
    fail(ExitCode::data, "{}: its document list begins with {}, not 0", place, next_document);
  for (int64_t s = 0; s <= index.sequences; ++s) {
    // Entries that name sequence s; a document without sequences repeats the entry before.
    while (entry < entries && next_document == s) {
      starts.push_back(index.tokens);
      if (++entry < entries) next_document = load<int64_t>(documents + 8 * entry);
    }
    if (entry < entries && next_document < s)
      fail(ExitCode::data, "{}: document entry {} is {}, less than the one before", place, entry,
           next_document);
    if (s == index.sequences) break;
    const auto length = load<int32_t>(lengths + 4 * s);
    const auto offset = load<int64_t>(offsets + 8 * s);
    if (length < 0) fail(ExitCode::data, "{}: sequence {} has length {}", place, s, length);
    if (offset != index.tokens * width)
      fail(ExitCode::data,
           "{}: sequence {} begins at byte {}, expected {} (the sum of the lengths "
           "before it)",
           place, s, offset, index.tokens * width);
    index.tokens += length;
  }
  if (entry < entries)
    fail(ExitCode::data, "{}: document entry {} is {}, beyond the {} sequences", place, entry,
         next_document, index.sequences);
  if (load<int64_t>(documents + 8 * (entries - 1)) != index.sequences)
    fail(ExitCode::data, "{}: its document list ends with {}, not with the number of sequences {}",
         place, load<int64_t>(documents + 8 * (entries - 1)), index.sequences);
  if (index.tokens * width != bin_bytes)
    fail(ExitCode::data,
         "{}: describes {} tokens of {} bytes, but the .bin file has {} bytes, not "
         "{} (truncated, or the two files do not belong together)",
         place, index.tokens, width, bin_bytes, index.tokens * width);
  for (const int64_t start : starts)
    if (start < index.tokens &&
        (index.document_starts.empty() || index.document_starts.back() != start))
      index.document_starts.push_back(start);
  return index;
}

}  // namespace troupe
