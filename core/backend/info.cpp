#include "core/backend/info.h"

#include <cblas.h>
#include <fmt/core.h>

#include <fstream>
#include <sstream>

#include "core/backend/onednn/version.h"

namespace az {
namespace {

// The value of the first line of /proc/cpuinfo that starts with `key`; empty where there is none.
std::string cpuinfo(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) == 0) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "";
}

// Where there is no name, as on arm64, the numbers that stand for it: "implementer 0x41, part 0xd0b".
std::string processor() {
  if (std::string name = cpuinfo("model name"); !name.empty()) return name;
  const std::string implementer = cpuinfo("CPU implementer");
  return implementer.empty() ? "unknown" : fmt::format("implementer {}, part {}", implementer, cpuinfo("CPU part"));
}

std::string known_instruction_sets() {
  std::istringstream flags(cpuinfo("flags") + cpuinfo("Features"));
  std::string result;
  for (std::string flag; flags >> flag;) {
    for (const char* known :
         {"sse4_2", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve", "bf16"}) {
      if (flag == known) result += (result.empty() ? "" : " ") + flag;
    }
  }
  return result.empty() ? "unknown" : result;
}

// Clang calls itself by its name in __VERSION__, and defines __GNUC__ too.
#if defined(__clang__)
constexpr const char* compiler = "Clang " __clang_version__;
#else
constexpr const char* compiler = "GCC " __VERSION__;
#endif

}  // namespace

BackendInfo backend_info() {
  return {
      .processor = processor(),
      .instruction_sets = known_instruction_sets(),
      .onednn = onednn::version(),
      .onednn_isa = onednn::instruction_set(),
      .openblas = openblas_get_config(),
      .openblas_core = openblas_get_corename(),
      .openblas_shares_openmp = openblas_get_parallel() == 2,
      .compiler = compiler,
  };
}

}  // namespace az
