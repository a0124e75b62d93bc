#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace az {

struct GradcheckOptions {
  double eps = 1e-5;        // step of the central differences, times max(1, |element|)
  double tolerance = 1e-6;  // on ||backward - differences|| / max of both norms, for each input
  int64_t samples = 0;      // elements tried of each input, spread evenly; 0: all
};

struct GradcheckResult {
  bool ok = true;
  double worst = 0;     // largest relative error of an input's gradient,
  size_t input = 0;     // that input,
  int64_t element = 0;  // and the element of it that is furthest off
  std::string message;  // what is wrong and where; empty when ok
  explicit operator bool() const { return ok; }
};

using TensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;

// Compares the gradient of <function(inputs), r>, r random, with (f(x + eps) - f(x - eps)) / (2 eps), element by element.
// Inputs are f64 leaves (others are passed on unchecked), changed in place and restored, so that a function may also use them
// by capture. Random ops draw the same numbers in each call. Throws for unusable inputs and what `function` throws; else the
// result tells.
GradcheckResult gradcheck(const TensorFunction& function, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});

// Does the same for the gradients themselves (create_graph), with respect to the inputs and r. They must also be what backward
// gives without create_graph. For an op that cannot be differentiated twice the message names it.
GradcheckResult gradgradcheck(const TensorFunction& function, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options = {});

}  // namespace az
