#include "experiments/precision.h"

#include <cstdlib>

#include "core/backend/info.h"
#include "core/base/error.h"

namespace az::experiments {

DType precision_of(const std::string& name) {
  for (const DType type : {DType::f32, DType::bf16})
    if (name == name_of(type)) return type;
  fail("\"precision\" must be \"f32\" or \"bf16\", got \"{}\"", name);
}

DType available_precision(DType wanted) { return wanted == DType::bf16 && !has_bf16() ? DType::f32 : wanted; }

std::string precision_note(const PrecisionUse& use) {
  if (use.now == use.before.value_or(use.wanted)) {
    if (use.now == use.wanted) return "";
    return fmt::format("the checkpoint's precision, {}, counts, not the config's {}", name_of(use.now), name_of(use.wanted));
  }
  const std::string what = use.before ? "what was in bf16 so far goes on in f32, and its results differ by rounding"
                                      : "train.precision bf16 runs in f32";
  const BackendInfo info = backend_info();
  if (std::getenv("ONEDNN_MAX_CPU_ISA") && info.instruction_sets.find("bf16") != std::string::npos)
    return fmt::format("oneDNN is held to {}, without bf16 arithmetic: {}; unset ONEDNN_MAX_CPU_ISA", info.onednn_isa, what);
  return "this processor has no bf16 arithmetic (AVX-512 with bf16, or AMX): " + what;
}

}  // namespace az::experiments
