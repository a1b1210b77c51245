#include <lzma.h>

#include "core/base/error.h"
#include "core/compression/stream_decoder.h"

namespace troupe {
namespace {

class XzDecoder final : public StreamDecoder {
 public:
  XzDecoder() { begin(); }
  ~XzDecoder() override { lzma_end(&stream_); }

  DecodeStep decode(std::string_view in, std::span<char> out) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret result = lzma_code(&stream_, LZMA_RUN);
    DecodeStep step{in.size() - stream_.avail_in, out.size() - stream_.avail_out,
                    result == LZMA_STREAM_END, nullptr};
    switch (result) {
      case LZMA_OK:
      case LZMA_BUF_ERROR:  // no progress, which the caller sees
        break;
      case LZMA_STREAM_END:
        begin();
        break;
      case LZMA_MEM_ERROR:
      case LZMA_MEMLIMIT_ERROR:
        fail(ExitCode::resource, "an xz stream asks for {} bytes of memory, {} are allowed",
             lzma_memusage(&stream_), kMemoryLimit);
      case LZMA_OPTIONS_ERROR:
        step.fault = "options that liblzma does not know";
        break;
      case LZMA_FORMAT_ERROR:
        step.fault = "no xz stream";
        break;
      default:
        step.fault = "invalid data";
        break;
    }
    return step;
  }

 private:
  void begin() {
    if (lzma_stream_decoder(&stream_, kMemoryLimit, 0) != LZMA_OK)
      fail(ExitCode::resource, "no memory to decompress xz");
  }

  static constexpr uint64_t kMemoryLimit = uint64_t{2} << 30;
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace

std::unique_ptr<StreamDecoder> xz_decoder() { return std::make_unique<XzDecoder>(); }

}  // namespace troupe
