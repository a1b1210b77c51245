// One library's way to turn compressed bytes into those that were compressed.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "core/compression/compression.h"

namespace troupe {

struct DecodeStep {
  size_t taken = 0;             // bytes of `in`
  size_t made = 0;              // bytes of `out`
  bool ended = false;           // a stream is whole; the next byte may begin another
  const char* fault = nullptr;  // the bytes are damaged in this way
};

class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;
  // Decodes as much as `in` gives and `out` takes. `in` is all that is left of the file. After
  // `ended`, the next call begins a new stream.
  virtual DecodeStep decode(std::string_view in, std::span<char> out) = 0;
};

std::unique_ptr<StreamDecoder> gzip_decoder();
std::unique_ptr<StreamDecoder> zstd_decoder();
std::unique_ptr<StreamDecoder> xz_decoder();
std::unique_ptr<StreamDecoder> bzip2_decoder();
// kind: not `none`.
std::unique_ptr<StreamDecoder> stream_decoder(Compression kind);

}  // namespace troupe
