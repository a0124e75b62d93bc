#pragma once

#include <cmath>
#include <concepts>

#include "core/base/simd.h"
#include "optim/loops.h"
#include "optim/optimizer.h"

// How an update rule is written, for one element, and made into a loop over tensors of f32 or f64.
namespace az::optim {

// A number of a rule, such as beta. It is computed in double, and rounded to an element's type where it meets one: 1 - beta is
// as exact in f32 as beta.
struct Coefficient {
  double value;
  Coefficient(double exact) : value(exact) {}

  friend Coefficient operator-(Coefficient a, Coefficient b) { return a.value - b.value; }
  friend Coefficient operator*(Coefficient a, Coefficient b) { return a.value * b.value; }
  friend Coefficient operator/(Coefficient a, Coefficient b) { return a.value / b.value; }
  friend Coefficient pow(Coefficient a, Coefficient b) { return std::pow(a.value, b.value); }
  friend Coefficient sqrt(Coefficient a) { return std::sqrt(a.value); }
  template <std::floating_point T> friend T operator*(Coefficient c, T x) { return T(c.value) * x; }
  template <std::floating_point T> friend T operator+(T x, Coefficient c) { return x + T(c.value); }
};

// A rule comes as a copy: weights of f64 that are written could alias one behind a reference. All that it calls is inlined, so
// that it is compiled for the loop's instruction set.
template <class T>
AZ_MULTIVERSION [[gnu::flatten]] void step_range(auto rule, T stay, int64_t n, T* w, const T* g, auto*... state) {
  for (int64_t i = 0; i < n; ++i) w[i] = stay * w[i] - rule(w[i], g[i], state[i]...);
}

// w -= rule(w, g, s...) on every element of a weight, its gradient and its state, or 0 - rule(w, g, s...) where the group says
// step_only: the rule brings the state, which it gets as T&, up to date and returns the step, decay included.
UpdateInfo update_elements(const auto& rule, const Group& group, const Tensor& weight, const Tensor& gradient,
                           const auto&... state) {
  with_type(gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto run = [&, w = weight.mutable_data<T>(), g = gradient.data<T>()](auto*... s) {
      for_chunks(gradient.numel(),
                 [&](int64_t at, int64_t n) { step_range(rule, T(!group.step_only), n, w + at, g + at, s + at...); });
    };
    run(state.template mutable_data<T>()...);
  });
  return {.step_only = group.step_only};
}

}  // namespace az::optim
