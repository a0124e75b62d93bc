#include "core/backend/onednn/version.h"

#include <fmt/core.h>

#include <dnnl.hpp>
#include <utility>

#include "core/backend/info.h"

namespace az {
namespace onednn {
namespace {

// The widest that is known here: newer ones include it, as an instruction set has one bit for each that it includes. oneDNN's
// public header names those of x86-64 alone. The numbers of arm64's are those of its cpu/aarch64/cpu_isa_traits.hpp, in which
// later versions give 512 bits another one.
constexpr std::pair<unsigned, const char*> known[] = {
#if defined(__aarch64__)
    {0x1f, "SVE of 512 bits"}, {0x27, "SVE of 512 bits"}, {0x07, "SVE of 256 bits"}, {0x03, "SVE of 128 bits"}, {0x01, "NEON"},
#else
    {unsigned(dnnl::cpu_isa::avx512_core_amx), "AVX-512 + AMX"},
    {unsigned(dnnl::cpu_isa::avx512_core_bf16), "AVX-512 + bf16"},
    {unsigned(dnnl::cpu_isa::avx512_core_vnni), "AVX-512 + VNNI"},
    {unsigned(dnnl::cpu_isa::avx512_core), "AVX-512"},
    {unsigned(dnnl::cpu_isa::avx2_vnni), "AVX2 + VNNI"},
    {unsigned(dnnl::cpu_isa::avx2), "AVX2"},
    {unsigned(dnnl::cpu_isa::avx), "AVX"},
    {unsigned(dnnl::cpu_isa::sse41), "SSE4.1"},
#endif
};

bool includes(unsigned wanted) { return (unsigned(dnnl::get_effective_cpu_isa()) & wanted) == wanted; }

}  // namespace

std::string version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

std::string instruction_set() {
  for (const auto& [isa, name] : known) {
    if (includes(isa)) return name;
  }
  return "unknown";
}

}  // namespace onednn

bool has_bf16() {
#if defined(__x86_64__)
  return onednn::includes(unsigned(dnnl::cpu_isa::avx512_core_bf16));
#else
  return false;
#endif
}

}  // namespace az
