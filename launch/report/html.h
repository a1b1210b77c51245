// Text that is safe inside HTML.
#pragma once

#include <string>
#include <string_view>

namespace troupe::report_page {

std::string escape(std::string_view text);
// JSON for a <script> element: no "</" and no "<!" can end or change it.
std::string escape_json(std::string json);

}  // namespace troupe::report_page
