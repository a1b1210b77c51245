#include "core/text/raw_tokens.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/compression/compression.h"
#include "core/text/mapped_file.h"

namespace troupe {
namespace {

// llm.c: 256 i32, of which three say something, then the ids.
constexpr size_t kHeaderBytes = 1024;
struct Header {
  int32_t magic = 0;
  int32_t version = 0;
  int32_t tokens = 0;
};
struct Kind {
  int32_t magic;
  int32_t version;
  RawType type;
};
constexpr Kind kKinds[] = {{20240520, 1, RawType::u16},   // GPT-2's vocabulary
                           {20240801, 7, RawType::u32}};  // Llama 3's

Header header_of(std::string_view bytes) {
  Header header;
  if (bytes.size() >= sizeof header) std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

const Kind* kind_of(const Header& header) {
  for (const Kind& kind : kKinds)
    if (kind.magic == header.magic) return &kind;
  return nullptr;
}

int64_t width_of(RawType type) { return type == RawType::u16 ? 2 : 4; }

struct Layout {
  size_t begin = 0;  // byte of the first id
  RawType type = RawType::u16;
};

Layout layout_of_llm_c(std::string_view bytes, const Kind& kind, const std::string& path) {
  const Header header = header_of(bytes);
  if (header.version != kind.version)
    fail(ExitCode::data, "{}: is a file of llm.c of version {}; version {} can be read", path,
         header.version, kind.version);
  // A count above 2^31 has run over: the size of the file says it then.
  const auto ids = static_cast<int64_t>(bytes.size()) - static_cast<int64_t>(kHeaderBytes);
  const int64_t tokens = ids / width_of(kind.type);
  if (ids < 0 || ids % width_of(kind.type) != 0 || static_cast<int32_t>(tokens) != header.tokens)
    fail(
        ExitCode::data,
        "{}: the header of llm.c says {} tokens, the file holds {} (in {} bytes): it is cut off or "
        "damaged",
        path, header.tokens, std::max<int64_t>(tokens, 0), bytes.size());
  return {kHeaderBytes, kind.type};
}

// Bytes of each integer where the upper half of all of them is 0, else 2.
size_t width_seen(std::string_view head) {
  const bool any = std::any_of(head.begin(), head.end(), [](char c) { return c != 0; });
  for (const size_t width : {size_t{8}, size_t{4}}) {
    bool zeros = any && head.size() >= 64 && head.size() % width == 0;
    for (size_t i = 0; zeros && i < head.size(); ++i) zeros = i % width < width / 2 || head[i] == 0;
    if (zeros) return width;
  }
  return 2;
}

// What bare ids never look like.
void check_bare(std::string_view bytes, RawType type, const std::string& path) {
  const std::string_view head = bytes.substr(0, 4096);
  if (head.starts_with("\x93NUMPY"))
    fail(ExitCode::data, "{}: is a NumPy file with a header; write its ids with tofile()", path);
  if (compression_of(head) != Compression::none)
    fail(ExitCode::data, "{}: is compressed ({}); unpack it first", path,
         name(compression_of(head)));
  if (head.starts_with("PK\3\4") || head.starts_with("MMIDIDX"))
    fail(ExitCode::data, "{}: is {}, not bare token ids", path,
         head.starts_with("PK") ? "a zip archive (NumPy's .npz, PyTorch's .pt)"
                                : "the index of a .bin/.idx pair");
  const bool text = std::all_of(head.begin(), head.end(), [](unsigned char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
  });
  if (text && head.size() >= 64)
    fail(ExitCode::data, "{}: is text, not token ids: build it as text", path);
  if (bytes.size() % static_cast<size_t>(width_of(type)) != 0)
    fail(ExitCode::data, "{}: {} bytes are no whole number of ids of {} bytes", path, bytes.size(),
         width_of(type));
  const size_t seen = width_seen(head);
  if (seen == 8)
    fail(
        ExitCode::data,
        "{}: every id has 8 bytes; write them with 2 or 4 (NumPy: ids.astype(\"uint32\").tofile())",
        path);
  if (type == RawType::u16 && seen == 4)
    fail(ExitCode::data, "{}: every second id is 0: these are ids of 4 bytes; say u32", path);
}

}  // namespace

bool begins_like_llm_c(std::string_view bytes) { return kind_of(header_of(bytes)) != nullptr; }

bool is_llm_c_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;  // a pipe would wait
  std::ifstream file(path, std::ios::binary);
  char head[sizeof(Header)] = {};
  return file.read(head, sizeof head) && begins_like_llm_c({head, sizeof head});
}

TokenStream open_raw_tokens(const std::string& path, std::optional<RawType> bare) {
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  Layout layout;
  if (const Kind* kind = kind_of(header_of(bytes))) {
    layout = layout_of_llm_c(bytes, *kind, path);
  } else if (bare) {
    check_bare(bytes, *bare, path);
    layout = {0, *bare};
  } else {
    fail(ExitCode::data,
         "{}: has no header of llm.c; for ids without a header say what they are, u16 or u32",
         path);
  }
  const auto size = static_cast<int64_t>(bytes.size() - layout.begin) / width_of(layout.type);
  return {file.owner(),
          reinterpret_cast<const std::byte*>(bytes.data()) + layout.begin,
          layout.type == RawType::u16 ? TokenType::u16 : TokenType::i32,
          size,
          size > 0 ? std::vector<int64_t>{0} : std::vector<int64_t>{},
          path};
}

}  // namespace troupe
