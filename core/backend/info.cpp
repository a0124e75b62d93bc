#include "core/backend/info.h"

#include <cblas.h>
#include <fmt/core.h>

#include <fstream>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>

namespace az {
namespace {

// The value of the first line of /proc/cpuinfo that starts with `key`.
std::string cpuinfo(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) == 0) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "unknown";
}

std::string known_instruction_sets() {
  std::istringstream flags(cpuinfo("flags"));
  std::string result;
  for (std::string flag; flags >> flag;) {
    for (const char* known : {"sse4_2", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"}) {
      if (flag == known) result += (result.empty() ? "" : " ") + flag;
    }
  }
  return result.empty() ? "unknown" : result;
}

const char* isa_name(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::sse41: return "SSE4.1";
    case dnnl::cpu_isa::avx: return "AVX";
    case dnnl::cpu_isa::avx2: return "AVX2";
    case dnnl::cpu_isa::avx2_vnni: return "AVX2 + VNNI";
    case dnnl::cpu_isa::avx512_core: return "AVX-512";
    case dnnl::cpu_isa::avx512_core_vnni: return "AVX-512 + VNNI";
    case dnnl::cpu_isa::avx512_core_bf16: return "AVX-512 + bf16";
    case dnnl::cpu_isa::avx512_core_amx: return "AVX-512 + AMX";
    default: return "unknown";
  }
}

// Clang calls itself by its name in __VERSION__, and defines __GNUC__ too.
#if defined(__clang__)
constexpr const char* compiler = "Clang " __clang_version__;
#else
constexpr const char* compiler = "GCC " __VERSION__;
#endif

}  // namespace

bool has_bf16() {
  constexpr auto wanted = unsigned(dnnl::cpu_isa::avx512_core_bf16);  // one bit for each set that an instruction set includes
  return (unsigned(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

BackendInfo backend_info() {
  const dnnl_version_t* version = dnnl_version();
  return {
      .processor = cpuinfo("model name"),
      .instruction_sets = known_instruction_sets(),
      .onednn = fmt::format("{}.{}.{}", version->major, version->minor, version->patch),
      .onednn_isa = isa_name(dnnl::get_effective_cpu_isa()),
      .openblas = openblas_get_config(),
      .openblas_core = openblas_get_corename(),
      .openblas_shares_openmp = openblas_get_parallel() == 2,
      .compiler = compiler,
  };
}

}  // namespace az
