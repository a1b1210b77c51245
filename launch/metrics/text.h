// Numbers as people read them, for console and report; words as a shell reads them.
#pragma once

#include <cstdint>
#include <string>

namespace troupe {

std::string duration_text(double seconds);  // "42s", "3m05s", "2h14m", "3d04h"; "?" if not known
std::string grouped_text(int64_t value);    // 1234567 -> "1 234 567": pictures only, programs
                                            // read the console
std::string short_text(double value);       // 48213 -> "48.2k", 0.8712 -> "0.871"
std::string loss_number(double loss);       // 1.5537; "nan" without a sign
std::string bytes_text(double bytes);       // "512 B", "1.50 GiB"
// Writes the line over the one where a terminal's cursor stands. What does not fit is cut off: a
// line that wraps would leave a part of itself at each redrawing.
std::string redrawn_line(const std::string& line);
// The word, in quotes where a shell would not take it as it is.
std::string shell_word(const std::string& word);

}  // namespace troupe
