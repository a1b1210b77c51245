#include <bzlib.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/compression/stream_decoder.h"

namespace troupe {
namespace {

class Bzip2Decoder final : public StreamDecoder {
 public:
  Bzip2Decoder() { begin(); }
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }

  DecodeStep decode(std::string_view in, std::span<char> out) override {
    constexpr size_t kMost = size_t{1} << 30;  // libbz2 counts in 32 bits
    const size_t given = std::min(in.size(), kMost);
    const size_t room = std::min(out.size(), kMost);
    stream_.next_in = const_cast<char*>(in.data());
    stream_.avail_in = static_cast<unsigned>(given);
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<unsigned>(room);
    const int result = BZ2_bzDecompress(&stream_);
    DecodeStep step{given - stream_.avail_in, room - stream_.avail_out, result == BZ_STREAM_END,
                    nullptr};
    if (result == BZ_MEM_ERROR) fail(ExitCode::resource, "no memory to decompress bzip2");
    if (result == BZ_DATA_ERROR_MAGIC) {
      step.fault = "no bzip2 stream";
    } else if (result < 0) {
      step.fault = "invalid data";
    }
    if (step.ended) {
      BZ2_bzDecompressEnd(&stream_);
      begin();
    }
    return step;
  }

 private:
  void begin() {
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK)
      fail(ExitCode::resource, "no memory to decompress bzip2");
  }

  bz_stream stream_{};
};

}  // namespace

std::unique_ptr<StreamDecoder> bzip2_decoder() { return std::make_unique<Bzip2Decoder>(); }

}  // namespace troupe
