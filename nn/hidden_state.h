#pragma once

#include <string>

#include "nn/module.h"

namespace az::nn {

// The module in `network`, as "its path (its class)", whose training changes something that is no parameter or buffer, such as
// a Tensor that is a plain member, or random numbers of its own, and on which its output, or what it gives a part of it,
// depends; of several the first to run; "" where there is none. A checkpoint does not hold that, and a copy may share it.
//
// `copy` is a clone() of it, best of one that never ran: it is evaluated and trained on one batch like `images`, trained on
// another, and given the parameters and buffers of `network` back each time; on the first batch it is to compute what it did
// before. That looks at values: what changes only the gradient is not found. Random numbers stay as they were.
std::string hidden_state(const Module& network, Module& copy, const Tensor& images);

}  // namespace az::nn
