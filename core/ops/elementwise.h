#pragma once

#include <cmath>

#include "core/autograd/sums.h"

// Element by element, with NumPy broadcasting between tensors; shapes [..] -> broadcast shape. Floating types unless said.
namespace az {

Tensor sub(const Tensor& a, const Tensor& b);  // a - b
Tensor mul(const Tensor& a, const Tensor& b);  // a * b
Tensor div(const Tensor& a, const Tensor& b);  // a / b
Tensor add(const Tensor& a, double b);         // whole numbers only where a is i64
Tensor mul(const Tensor& a, double b);
Tensor div(const Tensor& a, double b);             // of i64: f32, as PyTorch's true division
Tensor maximum(const Tensor& a, const Tensor& b);  // the gradient is shared equally where a == b
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor atan2(const Tensor& y, const Tensor& x);
Tensor where(const Tensor& mask, const Tensor& a, const Tensor& b);  // mask (u8) != 0 ? a : b

Tensor neg(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor pow(const Tensor& x, double exponent);
struct ClampOptions {
  double min = -INFINITY, max = INFINITY;
};
Tensor clamp(const Tensor& x, ClampOptions options);  // gradient 1 inside [min, max], else 0; NaN stays NaN

// u8 masks, 1 where it holds; no gradient.
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return add(a, -b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }
inline Tensor operator-(double a, const Tensor& b) { return add(neg(b), a); }
inline Tensor operator-(const Tensor& a) { return neg(a); }

}  // namespace az
