#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>

namespace az::experiments {

// Text for people, on stderr. What stderr does not take, on a full disk or where its reader has gone, is lost; nothing else is.
void print_to_stderr(const std::string& text);
// The same, as a line.
template <class... Args> void say(fmt::format_string<Args...> format, Args&&... args) {
  print_to_stderr(fmt::format(format, std::forward<Args>(args)...) + "\n");
}

// A word as it can be given to a shell: in quotes where it has a space, a quote or the like.
std::string quoted(const std::string& word);

}  // namespace az::experiments
