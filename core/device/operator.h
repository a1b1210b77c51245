// The scope of an operator: what it is called in messages, on the tape and in a trace.
#pragma once

#include "core/base/trace.h"
#include "core/device/device.h"

namespace troupe {

class Operator {
 public:
  // name: a literal.
  Operator(const char* name, const Stream& stream, TracePart part = TracePart::forward)
      : name_(name), trace_(stream.trace) {
    if (trace_ != nullptr) trace_->begin_operator(name, part);
  }
  ~Operator() {
    if (trace_ != nullptr) trace_->end_operator();
  }
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;
  operator const char*() const { return name_; }

 private:
  const char* name_;
  Trace* trace_;
};

}  // namespace troupe
