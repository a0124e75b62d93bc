#pragma once

#include <string>

namespace az::experiments {

// Text as HTML shows it, between tags or in a quoted attribute.
std::string escaped_html(const std::string& text);

}  // namespace az::experiments
