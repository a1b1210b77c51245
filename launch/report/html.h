// Text that is safe inside HTML.
#pragma once

#include <string>
#include <string_view>

namespace troupe::report_page {

std::string escape(std::string_view text);
// JSON for a <script> element: no "</" and no "<!" can end or change it.
std::string escape_json(std::string json);
// No line ends inside "195 000" or "8.0 %".
std::string unbroken(const std::string& text);

}  // namespace troupe::report_page
