#pragma once

#include <cmath>
#include <vector>

// How an op's result scales with its inputs, said in one word as the last argument of record(): Homogeneity::each(). By it
// scale_dependence() tells from a recorded graph what the length of a weight is to its loss.
namespace az {

struct Homogeneity {
  enum class Says { nothing, never, terms };
  // The result is a sum of terms, each a product of inputs to their powers (in how it scales, not in what it is).
  struct Input {
    double power = 1;  // 0: a norm, which takes out the scale and the shift of what lies in one slice of the axes it keeps
    int term = 0;
    std::vector<int> axes =
        {};  // where its axes lie in the result, -1: their elements are mixed; empty: aligned at the last axis
  };

  Says says = Says::nothing;
  std::vector<Input> inputs = {};
  bool linear = false;    // in each term
  bool in_order = false;  // the elements of its one input in their order, whatever the shape
  bool offset = false;    // a constant is added

  static const Homogeneity& never();     // not homogeneous: exp, tanh, softmax
  static const Homogeneity& same();      // the input's elements, or a multiple, in order: reshape, to, 2 x
  static const Homogeneity& each();      // element by element, f(a x) = a f(x) for a > 0: relu, abs
  static const Homogeneity& sum();       // of two inputs
  static const Homogeneity& choice();    // of two inputs, not linear in them: maximum, where
  static const Homogeneity& product();   // of two inputs, element by element
  static const Homogeneity& quotient();  // likewise
  static Homogeneity power(double exponent) { return {Says::terms, {{.power = exponent}}}; }
  // Homogeneous in its input, whose axes lie there in the result: sum, max, permute.
  static Homogeneity along(std::vector<int> axes, bool linear = false) {
    return {Says::terms, {{.axes = std::move(axes)}}, linear};
  }
  // x + b
  static Homogeneity plus(double b);

  // A number this small, added to a denominator or bounding it, guards it against 0, as the eps of a norm does. It leaves a
  // residue, and is not what makes a weight's length matter.
  static bool is_guard(double x) { return std::abs(x) <= 1e-3; }
};

}  // namespace az
