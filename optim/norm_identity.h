#pragma once

#include <optional>
#include <string>

#include "core/config/options.h"

namespace az::optim {

// How the squared norm of a scale-invariant weight follows from the lengths of an optimizer's steps alone.
struct NormRule {
  std::optional<double> beta = {};  // with which NormIdentity holds; none: it does not hold
  std::string words = {};           // the rule, or why there is none, a sentence
  bool by_gradients = true;         // whether it needs gradients that are orthogonal to the weight; projected steps are so

  static void fields(auto& f) {
    f("beta", &NormRule::beta, "of the momentum; 0: a step adds its squared length; null: nothing is predicted");
    f("words", &NormRule::words, "the rule, or why there is none");
  }
};

// ||w||^2 of a weight whose gradients g are orthogonal to it, by the lengths of its steps d = -lr p, p' = beta p + g
// (Heo et al., ICLR 2021):
//   ||w'||^2 = ||w||^2 + ||d||^2 + 2 lr a,  a' = beta (a + ||d||^2 / lr),  a = -<p, w>, which is 0 at first.
// Steps that are projected are orthogonal to w themselves: beta 0, and lr counts for nothing.
class NormIdentity {
 public:
  struct Start {
    double squared_norm, beta;
  };
  struct Step {
    double squared_length, lr;
  };
  explicit NormIdentity(const Start& start) : squared_norm_(start.squared_norm), beta_(start.beta) {}
  void add(const Step& step) {
    squared_norm_ += step.squared_length;
    if (beta_ == 0) return;
    squared_norm_ += 2 * step.lr * against_;
    against_ = beta_ * (against_ + (step.lr > 0 ? step.squared_length / step.lr : 0));
  }
  double squared_norm() const { return squared_norm_; }  // after the steps so far

 private:
  double squared_norm_, beta_;
  double against_ = 0;  // a
};

}  // namespace az::optim
