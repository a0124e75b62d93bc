#pragma once

#include <string>
#include <string_view>

// Names that users give: to layers, parameters, options, quantities. They stand in JSON, in the headers of files and in paths.
namespace az {

// "layer1.conv1" of "layer1" and "conv1"; the name alone where the path is "".
std::string join_path(const std::string& path, const std::string& name);

// Returns the text in quotes; what cannot be printed is written as "\x0a".
std::string in_quotes(std::string_view text);

// Throws "<what> \"a.b\" cannot be a name: it has a \".\"" for one that is empty, not UTF-8, begins or ends with a
// space, or has a control character or one of those in `without`.
void check_name(const std::string& what, std::string_view name, std::string_view without = "");

}  // namespace az
