#pragma once

#include <string>
#include <vector>

#include "core/backend/conv/problem.h"

namespace az {

// A convolution problem with operands of our own, by which an implementation is tried: +1, -1 and, where a sum would have too
// many terms, 0, at random; each image is another. All results are whole numbers that f32 and bf16 hold, so that direct methods
// give them without any rounding, and a term that is missing, doubled or strange changes one by 1 or more. A user's
// operands cannot serve, as their results are no whole numbers.
//
// The results are compared all at once, over channels: their sum, each channel times a factor of its own from +-[1, 2), is the
// result of a problem with one channel, which f64 has soon (Freivalds 1979). A sum may be wrong by 0.001, and by 1/4 where
// Winograd's transforms round: one wrong element is always seen, and several that make up for each other in one sum do so in
// all of them only by chance.
class ConvTrial {
 public:
  explicit ConvTrial(const ConvProblem& problem);

  // The operands, in the problem's number types; undefined where its direction has none, and no trial has a scale.
  Tensor x, g, weight, bias, scale;
  Then then;

  const ConvProblem& problem() const { return problem_; }
  // Says whether `result` is what an implementation has to give: y or dx, or the weight's and the bias's gradients.
  // `transforms` is what Implementation has under that name.
  bool is_right(bool transforms, const Tensor& result) const;
  bool is_right(bool transforms, const ConvWeightGradients& result) const;

 private:
  bool agrees(bool transforms, const Tensor& result, int64_t images) const;

  ConvProblem problem_;
  std::vector<double> factors_;  // of the result's channels: outputs, or inputs in backward_data
  std::vector<double> sums_;     // over each group's channels: [n,groups,h,w], or [groups,i,kh,kw] of a weight
  std::vector<double> bias_sums_;
};

}  // namespace az
