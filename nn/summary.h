#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/module.h"

namespace az::nn {

// What each module makes of an input of a given shape, in the order they run.
struct Summary {
  struct Row {
    std::string path, description;
    Shape output;
    int64_t parameters = 0;     // of the module itself, children left out
    int64_t multiply_adds = 0;  // likewise
    bool leaf = true;
  };
  std::vector<Row> rows;
  int64_t parameters = 0;  // of the whole module
  int64_t multiply_adds = 0;
  std::string table() const;
};

// Runs the module on zeros of `input` ([1,3,32,32]), in evaluation mode and without gradients; of its parameters' number type
// unless given. Leaves the modes as they were. A layer of one's own that does not take one sample is given more
// (nn/enough_samples.h); what is told is of one even so.
Summary summarize(Module& module, const Shape& input, std::optional<DType> type = {});
// The shape module(x) has, found in the same way.
Shape output_shape(Module& module, const Shape& input, std::optional<DType> type = {});

}  // namespace az::nn
