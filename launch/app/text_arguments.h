// Options of commands that read text; they mirror the keys data.field, data.format and
// data.invalid_utf8.
#pragma once

#include "core/text/text_options.h"
#include "launch/app/command_line.h"

namespace troupe {

CommandLine& add_text_options(CommandLine& line);
// How a text is read that has not been looked at before: as `run` says where an option is not
// given. A word that is none of an option's: Error(usage).
TextOptions text_options(const Arguments& arguments, const TextOptions& run = {});

}  // namespace troupe
