#include "core/backend/onednn/version.h"

#include <fmt/core.h>

#include <dnnl.hpp>
#include <utility>

#include "core/backend/info.h"

namespace az {
namespace onednn {
namespace {

// The widest that is known here: newer ones include it, as an instruction set has one bit for each that it includes.
const char* isa_name(dnnl::cpu_isa isa) {
  using Isa = dnnl::cpu_isa;
  constexpr std::pair<Isa, const char*> known[] = {{Isa::avx512_core_amx, "AVX-512 + AMX"},
                                                   {Isa::avx512_core_bf16, "AVX-512 + bf16"},
                                                   {Isa::avx512_core_vnni, "AVX-512 + VNNI"},
                                                   {Isa::avx512_core, "AVX-512"},
                                                   {Isa::avx2_vnni, "AVX2 + VNNI"},
                                                   {Isa::avx2, "AVX2"},
                                                   {Isa::avx, "AVX"},
                                                   {Isa::sse41, "SSE4.1"}};
  for (const auto& [included, name] : known) {
    if ((unsigned(isa) & unsigned(included)) == unsigned(included)) return name;
  }
  return "unknown";
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
