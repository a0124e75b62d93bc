#pragma once

#include <optional>
#include <string>

#include "core/tensor/dtype.h"

// What train.precision comes to on this machine.
namespace az::experiments {

// The number type of activations that a config or a checkpoint names. Throws Error for any but "f32" and "bf16".
DType precision_of(const std::string& name);
// `wanted`, or f32 where it is bf16 and the processor has no arithmetic for that.
DType available_precision(DType wanted);

struct PrecisionUse {
  DType wanted, now;                 // by the config, and in use
  std::optional<DType> before = {};  // when the checkpoint was made that goes on now
};
// One sentence where what is in use is not what was wanted, or not what it was before; "" otherwise.
std::string precision_note(const PrecisionUse& use);

}  // namespace az::experiments
