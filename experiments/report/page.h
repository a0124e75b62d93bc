#pragma once

#include <string_view>

namespace az::experiments {

// What a report's page is made of: page/page.html with its styles and scripts and dygraphs put in, made by the build
// (embed.cmake).
// @title@ and @data@ are left for report_html().
std::string_view report_page();

}  // namespace az::experiments
