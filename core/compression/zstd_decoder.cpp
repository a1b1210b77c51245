#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/compression/stream_decoder.h"

namespace troupe {
namespace {

class ZstdDecoder final : public StreamDecoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    if (context_ == nullptr) fail(ExitCode::resource, "no memory to decompress zstd");
    // Large corpora are packed with `--long=31`, whose window is 2 GiB.
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 31);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  DecodeStep decode(std::string_view in, std::span<char> out) override {
    constexpr size_t kMost = size_t{128} << 10;  // so that `taken` tells where damage is
    ZSTD_inBuffer from{in.data(), std::min(in.size(), kMost), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const size_t result = ZSTD_decompressStream(context_, &to, &from);
    DecodeStep step{from.pos, to.pos, result == 0, nullptr};
    if (ZSTD_isError(result)) {
      if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
        fail(ExitCode::resource, "no memory for the window of a zstd frame");
      step.fault = ZSTD_getErrorName(result);
    }
    return step;
  }

 private:
  ZSTD_DCtx* context_;
};

}  // namespace

std::unique_ptr<StreamDecoder> zstd_decoder() { return std::make_unique<ZstdDecoder>(); }

}  // namespace troupe
