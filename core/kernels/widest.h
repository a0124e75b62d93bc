#pragma once

#include <type_traits>

#include "core/base/simd.h"
#include "core/tensor/dtype.h"

namespace az {

template <class Loop> AZ_MULTIVERSION void run_in_versions(Loop loop) { loop(); }

// Runs a loop over arrays of T, an AZ_INLINED lambda: for the widest instruction set of the processor where T is f32 or bf16,
// which networks compute with, and for the least that there is where it is another. With three versions of all,
// core/ops/elementwise.cpp took a quarter more time to compile.
template <class T, class Loop> void run_widest(Loop loop) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, bf16>)
    run_in_versions(loop);
  else
    loop();
}

}  // namespace az
