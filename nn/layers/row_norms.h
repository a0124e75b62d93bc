#pragma once

#include "core/tensor/tensor.h"

namespace az::nn {

// ||v_i|| of each row v_i (all axes but the first), [rows,1,...].
Tensor row_norms(const Tensor& v);

// 1 / ||v_i|| likewise, or 1e12 where that is less, as torch.nn.functional.normalize; 0 for a row of zeros, whose gradient is
// then 0 too: 1e12 would throw it far off by the next step.
Tensor inverse_row_norms(const Tensor& v);

}  // namespace az::nn
