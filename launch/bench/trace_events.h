// A trace in the JSON of Chrome's trace events, which Perfetto (ui.perfetto.dev) and
// chrome://tracing open. A rank is a process there; its tracks are steps, phases, layers,
// operators, messages and the threads of its team.
#pragma once

#include <string>
#include <string_view>

#include "core/base/trace.h"

namespace troupe {

// The events of one rank, joined by commas. zero: an instant that is the same on all ranks.
std::string trace_events(const Trace& trace, int rank, TraceTime zero);

// The file, from the events of all ranks joined by commas.
std::string trace_document(const std::string& events);
// Does such a file begin like this?
bool is_trace(std::string_view beginning);

}  // namespace troupe
