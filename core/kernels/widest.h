#pragma once

#include <type_traits>

#include "core/base/simd.h"
#include "core/tensor/dtype.h"

namespace az {

template <class Loop> AZ_MULTIVERSION void run_in_versions(Loop loop) { loop(); }

// Runs a loop over arrays of T, an AZ_INLINED lambda: in the widest instruction set of the processor for f32 and bf16, which
// networks compute with. Others are not worth the time that three versions take to compile.
template <class T, class Loop> void run_widest(Loop loop) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, bf16>)
    run_in_versions(loop);
  else
    loop();
}

}  // namespace az
