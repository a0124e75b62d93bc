#include "core/ops/conv_norm.h"

#include <array>
#include <cmath>
#include <mutex>

#include "core/autograd/autograd.h"
#include "core/ops/elementwise.h"

namespace az {
namespace {

// norm(conv2d + bias) = scale * conv2d + shift
struct Folded {
  Tensor scale, shift;
  bool finite = true;  // otherwise the ReLU of a convolution might hide it
};

template <class T> Folded fold(const Tensor& weight, const Tensor& bias, const RunningNorm& norm) {
  const int64_t channels = weight.size(0), each = weight.numel() / channels;
  Folded folded{Tensor::empty({channels}, weight.dtype()), Tensor::empty({channels}, weight.dtype())};
  const T* elements = weight.data<T>();
  T *scale = folded.scale.mutable_data<T>(), *shift = folded.shift.mutable_data<T>();
  auto at = [](const Tensor& t, int64_t c, double otherwise) { return t.defined() ? double(t.data<T>()[c]) : otherwise; };
  for (int64_t c = 0; c < channels; ++c) {
    const double factor = at(norm.gamma, c, 1) / std::sqrt(at(norm.var, c, 1) + norm.eps);
    scale[c] = T(factor);
    shift[c] = T((at(bias, c, 0) - at(norm.mean, c, 0)) * factor + at(norm.beta, c, 0));
    folded.finite &= std::isfinite(shift[c]);
    for (int64_t i = c * each; i < (c + 1) * each; ++i) folded.finite &= std::isfinite(elements[i] * scale[c]);
  }
  return folded;
}

// What a weight's norm was last folded into.
class FoldedNorm : public Derived {
 public:
  Folded get(const Tensor& weight, const Tensor& bias, const RunningNorm& norm) {
    std::lock_guard lock(mutex_);
    if (Made now(weight, bias, norm); !folded_.scale.defined() || now != made_) {
      folded_ = weight.dtype() == DType::f64 ? fold<double>(weight, bias, norm) : fold<float>(weight, bias, norm);
      made_ = now;
    }
    return folded_;
  }

 private:
  // What of: the storages and versions, and eps.
  struct Made {
    std::array<std::pair<uint64_t, uint64_t>, 6> elements{};
    double eps = 0;
    Made() = default;
    Made(const Tensor& weight, const Tensor& bias, const RunningNorm& norm) : eps(norm.eps) {
      size_t i = 0;
      for (const Tensor& t : {weight, bias, norm.gamma, norm.beta, norm.mean, norm.var}) {
        if (t.defined()) elements[i] = {t.storage()->id(), t.storage()->version()};
        ++i;
      }
    }
    bool operator==(const Made&) const = default;
  };

  std::mutex mutex_;
  Made made_;
  Folded folded_;
};

void check_norm(const Tensor& weight, const Tensor& bias, const RunningNorm& norm) {
  if (!norm.mean.defined() || !norm.var.defined()) fail("conv2d_norm: needs running statistics");
  for (const Tensor& t : {bias, norm.gamma, norm.beta, norm.mean, norm.var}) {
    if (t.defined() && (t.shape() != Shape{weight.size(0)} || t.dtype() != weight.dtype())) {
      fail("conv2d_norm: weight is {}, so bias, parameters and statistics are {} [{}], not {}", describe(weight),
           name_of(weight.dtype()), weight.size(0), describe(t));
    }
  }
}

}  // namespace

Tensor conv2d_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
                   const RunningNorm& norm, const Conv2dThen& then) {
  check_norm(weight, bias, norm);
  if (then.scale.defined()) fail("conv2d_norm: scales by the norm, so then.scale must be undefined");
  const bool is_whole = (weight.dtype() == DType::f32 || weight.dtype() == DType::f64) && weight.numel() > 0;
  if (is_whole && !needs_grad({x, weight, bias, norm.gamma, norm.beta, then.residual})) {
    const Folded folded = weight.storage()->derived<FoldedNorm>().get(weight, bias, norm);
    if (folded.finite) return conv2d(x, weight, folded.shift, params, {folded.scale, then.residual, then.relu});
  }
  const BatchNormOptions options{.training = false, .eps = norm.eps};
  const Tensor y = conv2d(x, weight, bias, params);
  if (then.residual.defined() && then.relu)
    return batch_norm_add_relu(y, norm.gamma, norm.beta, norm.mean, norm.var, then.residual, options);
  if (then.relu) return batch_norm_relu(y, norm.gamma, norm.beta, norm.mean, norm.var, options);
  const Tensor normed = batch_norm(y, norm.gamma, norm.beta, norm.mean, norm.var, options);
  return then.residual.defined() ? normed + then.residual : normed;
}

}  // namespace az
