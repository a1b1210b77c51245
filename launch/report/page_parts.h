// The constant parts of the page: its style sheet and the script that reads values under the
// pointer or the arrow keys. Everything is visible without the script.
#pragma once

#include <string_view>

namespace troupe::report_page {

std::string_view style_sheet();
std::string_view script();

}  // namespace troupe::report_page
