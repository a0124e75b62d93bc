#include "experiments/precision.h"

#include <cstdlib>

#include "core/backend/info.h"

namespace az::experiments {

DType precision_of(const std::string& name) { return name == name_of(DType::bf16) ? DType::bf16 : DType::f32; }

DType available_precision(DType wanted) { return wanted == DType::bf16 && !has_bf16() ? DType::f32 : wanted; }

std::string precision_note(const PrecisionUse& use) {
  if (use.now == use.wanted && use.now == use.before.value_or(use.now)) return "";
  if (available_precision(DType::bf16) == DType::bf16)
    return "the checkpoint was made in f32, where there was no bf16 arithmetic; what goes on from it stays in f32";
  const std::string what = use.before == DType::bf16
                               ? "what was in bf16 so far goes on in f32, and its results differ by rounding"
                               : "train.precision bf16 runs in f32";
  const std::string remedy = std::getenv("ONEDNN_MAX_CPU_ISA") ? "; unset ONEDNN_MAX_CPU_ISA" : "";
  return "this processor has no bf16 arithmetic (AVX-512 with bf16, or AMX): " + what + remedy;
}

}  // namespace az::experiments
