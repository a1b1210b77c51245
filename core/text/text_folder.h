// The files of text below a folder, and what is there besides.
#pragma once

#include <string>
#include <vector>

#include "core/text/text_options.h"

namespace troupe {

struct TextFolder {
  std::vector<std::string> files;  // paths, in byte order of their relative paths
  // "2 hidden (.git, .cache), 1 empty (x.txt)"; empty = nothing was left out.
  std::string left_out;
};

// Links to files and folders are followed, and each file is read once: of several ways to it the
// first in byte order counts. Left out are hidden files and folders, empty files, special files
// (devices, sockets, pipes) and .bin/.idx pairs. A link to nothing, a link that leads back to a
// folder that it stands in, a folder that cannot be listed: ExitCode::data.
// By name, as before: no linked folder is entered, links to nothing are left out, a file may come
// twice, and token files are an error.
TextFolder list_text_folder(const std::string& folder, const TextOptions& options);

}  // namespace troupe
