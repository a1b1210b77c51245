#include "core/compression/decompressor.h"

#include <span>

#include "core/base/error.h"

namespace troupe {

Decompressor::Decompressor(Compression kind, std::string_view bytes, std::string place)
    : kind_(kind),
      bytes_(bytes),
      place_(std::move(place)),
      decoder_(stream_decoder(kind)),
      out_(size_t{1} << 20) {}

// Between two streams.
void Decompressor::skip_padding() {
  while (at_ < bytes_.size() && bytes_[at_] == '\0') ++at_;
  if (at_ == bytes_.size()) return;
  if (compression_of(bytes_.substr(at_)) != kind_)
    fail(ExitCode::data,
         "{}: byte {}: what follows the end of a {} stream is not another one; the file is damaged",
         place_, at_, name(kind_));
  inside_ = true;
}

std::string_view Decompressor::next() {
  size_t made = 0;
  while (made < out_.size()) {
    if (!inside_) skip_padding();
    if (!inside_) break;
    const DecodeStep step = decoder_->decode(bytes_.substr(at_), std::span(out_).subspan(made));
    at_ += step.taken;
    made += step.made;
    if (step.fault != nullptr)
      fail(ExitCode::data, "{}: near byte {}: the {} stream is damaged ({}); get the file again",
           place_, at_, name(kind_), step.fault);
    if (step.ended) {
      inside_ = false;
    } else if (step.taken == 0 && step.made == 0) {
      fail(ExitCode::data,
           "{}: byte {}: the {} stream is cut off before its end; get the file again", place_, at_,
           name(kind_));
    }
  }
  return {out_.data(), made};
}

}  // namespace troupe
