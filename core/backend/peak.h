#pragma once

#include "core/tensor/dtype.h"

namespace az {

// Floating-point operations a second that a product of two 2048 x 2048 matrices reaches, on the threads in use: the fastest of
// the runs that fit in half a second. 0 where oneDNN has no such product for the number type on this processor.
double measured_peak_flops(DType type);

}  // namespace az
