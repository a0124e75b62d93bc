#include "core/backend/onednn_conv_trial.h"

#include <atomic>
#include <cmath>

#include "core/backend/reference.h"
#include "core/random.h"

namespace az::onednn {
namespace {

double factor(int64_t image) { return double(1 + image % 3); }

// +1 and -1 at random.
Tensor signs(const Shape& shape, Philox& generator) {
  Tensor result = Tensor::empty(shape, DType::f64);
  double* values = result.mutable_data<double>();
  for (int64_t i = 0; i < result.numel(); ++i) values[i] = generator.next_u32() & 1 ? 1 : -1;
  return result;
}

Shape of_one_image(Shape shape) {
  shape[0] = 1;
  return shape;
}

// Calls body(image, factor) for each of them, on all threads.
template <class Body> void each_image(int64_t images, Body body) {
  parallel_for(images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) body(n, factor(n));
  });
}

// A right element, and the size of the products that it is the sum of.
struct Right {
  double value, size;
};

// How far from it another may lie, where it is the sum of so many products.
struct Tolerance {
  double sum;
  double last_place;  // of the result's own size, beside
  // A sum of n products, +1 and -1 times their size, is about sqrt(n) of it. Whole numbers are added up without rounding in any
  // order; Winograd's transforms of them are rounded, by 1e-5 of the sum in all at 128 channels, 4e-5 at 2048. bf16 keeps 8 bits,
  // of parts of the sum too, where a kernel stores those.
  Tolerance(const std::string& implementation, DType type, int64_t terms) {
    last_place = type == DType::bf16 ? 1.0 / 256 : 0;
    sum = ((is_winograd(implementation) ? 1e-3 : 1e-5) + last_place) * std::sqrt(double(terms));
  }
  // NaN is never right.
  bool allows(double value, const Right& right) const {
    return std::abs(value - right.value) <= sum * right.size + last_place * std::abs(right.value);
  }
};

// Whether element i of image n is right(i, factor(n)).
template <class F> bool all_right(const Tensor& result, const Tolerance& tolerance, F right) {
  const Tensor plain = result.plain();
  if (plain.numel() == 0) return true;
  const int64_t each = plain.numel() / plain.size(0);
  std::atomic<bool> fine = true;
  visit(plain.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* values = plain.data<T>();
    each_image(plain.size(0), [&](int64_t n, double by) {
      bool good = true;
      for (int64_t i = 0; i < each; ++i) good &= tolerance.allows(double(float(values[n * each + i])), right(i, by));
      if (!good) fine = false;
    });
  });
  return fine;
}

Tensor as_one_image(const Tensor& x) { return x.reshape({1, x.numel()}); }

}  // namespace

ConvTrial::ConvTrial(const ConvProblem& p) : params_(p.params), type_(p.type), count_(p.x[0]), relu_(p.relu) {
  Philox generator(1);
  x_ = signs(of_one_image(p.x), generator);
  g_ = signs(of_one_image(p.y), generator);
  weight_ = signs(p.weight, generator);
  if (p.bias) bias_ = signs({p.weight[0]}, generator);
  if (p.residual) residual_ = signs(of_one_image(p.y), generator);
}

Tensor ConvTrial::images(const Tensor& one) const {
  Shape shape = one.shape();
  shape[0] = count_;
  Tensor result = Tensor::empty(shape, type_);
  visit(type_, [&](auto zero) {
    using T = decltype(zero);
    T* values = result.mutable_data<T>();
    each_image(count_, [&](int64_t n, double by) {
      for (int64_t i = 0; i < one.numel(); ++i) values[n * one.numel() + i] = T(float(one.data<double>()[i] * by));
    });
  });
  return result;
}

bool ConvTrial::is_right(const std::string& implementation, const Tensor& y) const {
  const Tensor once = Reference().conv2d(x_, weight_, {}, params_, {.residual = residual_}, g_.shape());
  const double *of_one = once.data<double>(), *added = bias_.defined() ? bias_.data<double>() : nullptr;
  const int64_t plane = once.size(2) * once.size(3), terms = weight_.numel() / weight_.size(0);
  return all_right(y, {implementation, y.dtype(), terms}, [&](int64_t i, double by) -> Right {
    const double value = of_one[i] * by + (added ? added[i / plane] : 0);
    return {relu_ && value < 0 ? 0 : value, by};
  });
}

bool ConvTrial::is_right_gradient(const std::string& implementation, const Tensor& dx) const {
  const Tensor once = Reference().conv2d_backward_data(g_, weight_, params_, x_.shape());
  const double* of_one = once.data<double>();
  const int64_t terms = weight_.numel() / weight_.size(1) / params_.groups;
  return all_right(dx, {implementation, dx.dtype(), terms}, [&](int64_t i, double by) -> Right { return {of_one[i] * by, by}; });
}

bool ConvTrial::is_right_gradient(const std::string& implementation, const ConvWeightGradients& d) const {
  const ConvWeightGradients once = Reference().conv2d_backward_weights(g_, x_, weight_.shape(), bias_.defined(), params_);
  double sum = 0, squares = 0;
  for (int64_t n = 0; n < count_; ++n) {
    sum += factor(n);
    squares += factor(n) * factor(n);
  }
  const int64_t terms = g_.size(2) * g_.size(3);
  auto right = [&](const Tensor& result, const Tensor& of_one, double size) {
    return all_right(as_one_image(result), {implementation, result.dtype(), terms}, [&](int64_t i, double) -> Right {
      return {of_one.data<double>()[i] * size, size};
    });
  };
  return right(d.weight, once.weight, squares) && (!bias_.defined() || right(d.bias, once.bias, sum));
}

}  // namespace az::onednn
