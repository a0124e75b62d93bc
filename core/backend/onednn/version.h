#pragma once

#include <string>

namespace az::onednn {

// "2.6.3"
std::string version();
// The widest that it uses: "AVX-512 + bf16".
std::string instruction_set();

}  // namespace az::onednn
