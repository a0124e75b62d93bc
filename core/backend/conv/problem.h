#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/backend/backend.h"
#include "core/tensor/layout.h"

// A convolution problem. For the back end's convolutions only.
namespace az {

struct ConvProblem {
  std::string_view direction;  // "forward", "backward_data" or "backward_weights", a literal
  Shape x, weight, y;
  DType type;  // of x and y
  Conv2dParams params;
  bool bias = false, residual = false, relu = false;
  std::vector<const Layout*> given = {};  // how the operands lie that are not weights

  std::vector<int64_t> key() const;
  // Spells out the problem, with so many images; the result's shape is left out, as it follows from the rest.
  std::string str(int64_t images) const;
  // Batches of less than 8 images are not timed: shape inference makes them, or they take little time.
  bool worth_timing() const { return x[0] >= 8; }
  // Says whether Winograd's method is taken where nothing is timed. In f32 it is faster in all directions from 32 channels on,
  // and not at 16; a few tiles are soon done in any way, while the weight has to be packed. In bf16 it is not taken.
  bool suits_winograd() const;
};

}  // namespace az
