#include "core/backend/onednn/version.h"

#include <fmt/core.h>

#include <dnnl.hpp>

#include "core/backend/info.h"

namespace az {
namespace onednn {
namespace {

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

}  // namespace

std::string version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

std::string instruction_set() { return isa_name(dnnl::get_effective_cpu_isa()); }

}  // namespace onednn

bool has_bf16() {
  constexpr auto wanted = unsigned(dnnl::cpu_isa::avx512_core_bf16);  // one bit for each set that an instruction set includes
  return (unsigned(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

}  // namespace az
