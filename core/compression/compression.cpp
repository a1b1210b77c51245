#include "core/compression/compression.h"

namespace troupe {
namespace {

using namespace std::string_view_literals;

bool is_bzip2(std::string_view head) {
  if (head.size() < 10 || !head.starts_with("BZh"sv) || head[3] < '1' || head[3] > '9')
    return false;
  // The first block, or the end of an empty stream.
  const std::string_view next = head.substr(4, 6);
  return next == "\x31\x41\x59\x26\x53\x59"sv || next == "\x17\x72\x45\x38\x50\x90"sv;
}

// A frame, or one that is to be skipped, which other programs write in front.
bool is_zstd(std::string_view head) {
  if (head.starts_with("\x28\xB5\x2F\xFD"sv)) return true;
  return head.size() >= 4 && (static_cast<uint8_t>(head[0]) & 0xF0) == 0x50 &&
         head.substr(1, 3) == "\x2A\x4D\x18"sv;
}

}  // namespace

Compression compression_of(std::string_view head) {
  if (head.starts_with("\x1F\x8B\x08"sv)) return Compression::gzip;
  if (head.starts_with("\xFD"
                       "7zXZ\0"sv))
    return Compression::xz;
  if (is_bzip2(head)) return Compression::bzip2;
  if (is_zstd(head)) return Compression::zstd;
  return Compression::none;
}

const char* name(Compression kind) {
  switch (kind) {
    case Compression::none:
      return "none";
    case Compression::gzip:
      return "gzip";
    case Compression::zstd:
      return "zstd";
    case Compression::xz:
      return "xz";
    case Compression::bzip2:
      return "bzip2";
  }
  return "?";
}

}  // namespace troupe
