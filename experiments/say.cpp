#include "experiments/say.h"

#include <cstdio>

namespace az::experiments {

void print_to_stderr(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace az::experiments
