// The bytes of a compressed file, made piece by piece: memory does not grow with the file.
//
// Streams may follow each other, as `cat a.gz b.gz` and parallel compressors write them, with zero
// bytes between them or behind them. Anything else behind a stream, a stream that is cut off or
// damaged: ExitCode::data with the byte of the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/compression/compression.h"
#include "core/compression/stream_decoder.h"

namespace troupe {

class Decompressor {
 public:
  // bytes: the whole compressed file, which outlives this; place: its name in errors.
  Decompressor(Compression kind, std::string_view bytes, std::string place);
  // The next piece, valid until the next call; empty at the end.
  std::string_view next();
  // Bytes of the file that are done.
  int64_t position() const { return static_cast<int64_t>(at_); }

 private:
  void skip_padding();

  Compression kind_;
  std::string_view bytes_;
  std::string place_;
  std::unique_ptr<StreamDecoder> decoder_;
  std::vector<char> out_;
  size_t at_ = 0;
  bool inside_ = true;  // a stream that has begun is not whole
};

}  // namespace troupe
