#include "core/compression/stream_decoder.h"

#include "core/base/error.h"

namespace troupe {

std::unique_ptr<StreamDecoder> stream_decoder(Compression kind) {
  switch (kind) {
    case Compression::gzip:
      return gzip_decoder();
    case Compression::zstd:
      return zstd_decoder();
    case Compression::xz:
      return xz_decoder();
    case Compression::bzip2:
      return bzip2_decoder();
    case Compression::none:
      break;
  }
  fail(ExitCode::internal, "a decoder for files that are not compressed");
}

}  // namespace troupe
