#include <zlib.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/compression/stream_decoder.h"

namespace troupe {
namespace {

class GzipDecoder final : public StreamDecoder {
 public:
  GzipDecoder() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK)
      fail(ExitCode::resource, "no memory to decompress gzip");
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }

  DecodeStep decode(std::string_view in, std::span<char> out) override {
    constexpr size_t kMost = size_t{1} << 30;  // zlib counts in 32 bits
    const size_t given = std::min(in.size(), kMost);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(given);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min(out.size(), kMost));
    const size_t room = stream_.avail_out;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    DecodeStep step{given - stream_.avail_in, room - stream_.avail_out, result == Z_STREAM_END,
                    nullptr};
    if (result == Z_MEM_ERROR) fail(ExitCode::resource, "no memory to decompress gzip");
    if (result == Z_DATA_ERROR || result == Z_NEED_DICT || result == Z_STREAM_ERROR)
      step.fault = stream_.msg != nullptr ? stream_.msg : "invalid data";
    if (step.ended) inflateReset(&stream_);
    return step;
  }

 private:
  z_stream stream_{};
};

}  // namespace

std::unique_ptr<StreamDecoder> gzip_decoder() { return std::make_unique<GzipDecoder>(); }

}  // namespace troupe
