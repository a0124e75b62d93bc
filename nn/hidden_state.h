#pragma once

#include <string>

#include "nn/module.h"

namespace az::nn {

// The first module that runs in `network`, as "its path (its class)", whose training changes something that its output depends
// on and that is no parameter or buffer, such as a Tensor that is a plain member, or random numbers of its own; "" where there
// is none. A checkpoint does not hold that, and a copy may share it.
//
// `copy` is a clone() of it: trained on two batches like `images` and given the parameters and buffers of `network` again, it
// is to compute what it did before, in evaluation and in training. Random numbers stay as they were.
std::string hidden_state(const Module& network, Module& copy, const Tensor& images);

}  // namespace az::nn
