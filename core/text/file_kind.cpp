#include "core/text/file_kind.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/compression/compression.h"
#include "core/text/raw_tokens.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

using namespace std::string_view_literals;

struct Signature {
  size_t at;
  std::string_view bytes;
  const char* what;
  const char* advice;
};

constexpr const char* kUnpack = "unpack it, and give the folder with the files";
constexpr const char* kExtract = "extract its text first";
constexpr const char* kColumns =
    "write its column of text as JSON lines first (pandas: to_json(orient=\"records\", "
    "lines=True))";
constexpr const char* kRemove = "take it out of the data";
constexpr const char* kAgain = "unpack it first; gzip, zstd, xz and bzip2 are read, once";

// Longer ones first where one begins like another.
constexpr std::array kSignatures = {
    Signature{0, "PK\3\4"sv, "a zip archive", kUnpack},
    Signature{0, "PK\5\6"sv, "an empty zip archive", kUnpack},
    Signature{257, "ustar"sv, "a tar archive", kUnpack},
    Signature{0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    Signature{0, "Rar!\x1A\7"sv, "a rar archive", kUnpack},
    Signature{0, "!<arch>\n"sv, "an ar archive", kUnpack},
    Signature{0, "\x04\x22\x4D\x18"sv, "compressed with lz4", kAgain},
    Signature{0, "\xFF\x06\0\0sNaPpY"sv, "compressed with snappy", kAgain},
    Signature{0, "\x1F\x9D"sv, "compressed with compress (.Z)", kAgain},
    Signature{0, "LZIP\1"sv, "compressed with lzip", kAgain},
    Signature{0, "\x5D\0\0"sv, "compressed with lzma", kAgain},
    Signature{0, "PAR1"sv, "a Parquet file", kColumns},
    Signature{0, "ARROW1\0"sv, "an Arrow file", kColumns},
    Signature{0, "\xFF\xFF\xFF\xFF"sv, "an Arrow stream", kColumns},
    Signature{0, "ORC\n"sv, "an ORC file", kColumns},
    Signature{0, "Obj\1"sv, "an Avro file", kColumns},
    Signature{0, "SQLite format 3\0"sv, "an SQLite database", kColumns},
    Signature{0, "\x89HDF\r\n\x1A\n"sv, "an HDF5 file", kExtract},
    Signature{0, "\x93NUMPY"sv, "a NumPy array",
              "token ids become training data as a .bin/.idx pair; text as a text file"},
    Signature{0, "MMIDIDX\0"sv, "the index of a .bin/.idx pair",
              "give the prefix of the pair, without .idx"},
    Signature{0, "GGUF"sv, "a GGUF model", kRemove},
    Signature{0, "%PDF-"sv, "a PDF document", "extract its text, for example with pdftotext"},
    Signature{0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "an Office document", kExtract},
    Signature{0, "{\\rtf"sv, "an RTF document", kExtract},
    Signature{0, "\x89PNG\r\n\x1A\n"sv, "a PNG image", kRemove},
    Signature{0, "\xFF\xD8\xFF"sv, "a JPEG image", kRemove},
    Signature{0, "GIF8"sv, "a GIF image", kRemove},
    Signature{8, "WEBP"sv, "a WebP image", kRemove},
    Signature{0, "II*\0"sv, "a TIFF image", kRemove},
    Signature{0, "MM\0*"sv, "a TIFF image", kRemove},
    Signature{8, "WAVE"sv, "a sound file", kRemove},
    Signature{0, "ID3"sv, "a sound file", kRemove},
    Signature{0, "OggS\0"sv, "a sound file", kRemove},
    Signature{0, "fLaC\0"sv, "a sound file", kRemove},
    Signature{4, "ftyp"sv, "a video file", kRemove},
    Signature{0, "\x1A\x45\xDF\xA3"sv, "a video file", kRemove},
    Signature{0,
              "\x7F"
              "ELF"sv,
              "a program (ELF)", kRemove},
    Signature{0, "\0asm"sv, "a program (WebAssembly)", kRemove},
    Signature{0, "\xCA\xFE\xBA\xBE"sv, "a program (Java or Mach-O)", kRemove},
    Signature{0, "\xCF\xFA\xED\xFE"sv, "a program (Mach-O)", kRemove},
    Signature{0, "wOFF\0"sv, "a font", kRemove},
    Signature{0, "wOF2\0"sv, "a font", kRemove},
};

bool printable(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n'; });
}

// Some bytes near the beginning are those of no text.
bool binary_bytes(std::string_view head) {
  const std::string_view near = head.substr(0, 4096);
  if (std::any_of(near.begin(), near.end(), [](char c) { return c >= 0 && c < 7; })) return true;
  const size_t valid = utf8_valid_prefix(near);
  return valid < near.size() && utf8_step(near.substr(valid)).complete;
}

bool holds(std::string_view head, std::string_view word) {
  return head.substr(0, 4096).find(word) != std::string_view::npos;
}

OtherKind zip_kind(std::string_view head) {
  if (holds(head, "[Content_Types].xml") || holds(head, "word/") || holds(head, "xl/") ||
      holds(head, "application/vnd.oasis"))
    return {"an Office document", kExtract};
  if (holds(head, "application/epub")) return {"an EPUB book", kExtract};
  if (holds(head, "data.pkl")) return {"a PyTorch file", kRemove};
  if (holds(head, ".npy")) return {"NumPy arrays (.npz)", kExtract};
  return {"a zip archive", kUnpack};
}

// Protocol 2 and later: a version byte, then most often a frame, a tuple, a list or a dictionary.
bool is_pickle(std::string_view head) {
  if (head.size() < 3 || head[0] != '\x80' || head[1] < 2 || head[1] > 5) return false;
  return "\x95]}(cK]XqMJGN\x8C\x8A"sv.find(head[2]) != std::string_view::npos;
}

bool is_safetensors(std::string_view head) {
  return head.size() > 10 && head[8] == '{' && head.substr(3, 5) == "\0\0\0\0\0"sv;
}

std::optional<OtherKind> wide_text(std::string_view head) {
  const auto text = [](const char* from) {
    return OtherKind{fmt::format("text in {}", from),
                     fmt::format("make UTF-8 of it: iconv -f {} -t UTF-8 IN > OUT", from)};
  };
  if (head.starts_with("\xFF\xFE\0\0"sv)) return text("UTF-32LE");
  if (head.starts_with("\0\0\xFE\xFF"sv)) return text("UTF-32BE");
  if (head.starts_with("\xFF\xFE"sv)) return text("UTF-16");
  if (head.starts_with("\xFE\xFF"sv)) return text("UTF-16");
  if (head.size() < 4) return std::nullopt;
  // Without a mark: every second byte of most scripts' common characters is the same, 0 for Latin.
  std::array<size_t, 4> zeros{};
  for (size_t i = 0; i < head.size(); ++i) zeros[i % 4] += head[i] == '\0' ? 1 : 0;
  const size_t quarter = head.size() / 4;
  const auto many = [&](size_t i) { return zeros[i] * 2 > quarter; };
  const auto few = [&](size_t i) { return zeros[i] * 100 <= quarter; };
  if (few(0) && many(1) && many(2) && many(3)) return text("UTF-32LE");
  if (many(0) && many(1) && many(2) && few(3)) return text("UTF-32BE");
  if (few(0) && many(1) && few(2) && many(3)) return text("UTF-16LE");
  if (many(0) && few(1) && many(2) && few(3)) return text("UTF-16BE");
  return std::nullopt;
}

}  // namespace

std::optional<OtherKind> other_kind(const FileHead& head) {
  const std::string_view bytes = head.bytes;
  if (bytes.empty()) return std::nullopt;
  if (std::optional<OtherKind> wide = wide_text(bytes)) return wide;
  if (compression_of(bytes) != Compression::none)
    return OtherKind{fmt::format("compressed twice ({} inside)", name(compression_of(bytes))),
                     kAgain};
  for (const Signature& signature : kSignatures) {
    if (bytes.size() < signature.at || !bytes.substr(signature.at).starts_with(signature.bytes))
      continue;
    // A text may begin with the same letters.
    const bool telling = !printable(signature.bytes) || signature.bytes == "%PDF-"sv ||
                         signature.bytes == "{\\rtf"sv || binary_bytes(bytes);
    if (!telling) continue;
    if (signature.bytes.starts_with("PK"sv)) return zip_kind(bytes);
    return OtherKind{signature.what, signature.advice};
  }
  if (is_pickle(bytes)) return OtherKind{"a Python pickle", kExtract};
  if (is_safetensors(bytes)) return OtherKind{"a safetensors file", kRemove};
  if (begins_like_llm_c(bytes))
    return OtherKind{"token ids as llm.c writes them",
                     "troupe data build, with each of its files named, makes a .bin/.idx pair"};
  const auto zeros = static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\0'));
  if (zeros * 100 > bytes.size())
    return OtherKind{"binary data",
                     "raw token ids become a .bin/.idx pair with troupe data build; take "
                     "anything else out of the data"};
  return std::nullopt;
}

}  // namespace troupe
