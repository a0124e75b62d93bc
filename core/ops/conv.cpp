#include "core/ops/conv.h"

#include <array>
#include <cmath>
#include <mutex>

#include "core/autograd/autograd.h"
#include "core/backend/backend.h"
#include "core/base/profile.h"
#include "core/ops/norm.h"

namespace az {
namespace {

Shape conv2d_shape(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& p) {
  auto both = [&] { return fmt::format("(input {}, weight {})", x.shape().str(), weight.shape().str()); };
  if (x.rank() != 4 || weight.rank() != 4) fail("conv2d: input and weight have 4 axes {}", both());
  if (p.groups < 1 || p.stride.h < 1 || p.stride.w < 1 || p.dilation.h < 1 || p.dilation.w < 1 || p.padding.h < 0 ||
      p.padding.w < 0) {
    fail("conv2d: stride, dilation and groups are at least 1, padding at least 0");
  }
  if (x.size(1) != weight.size(1) * p.groups) {
    fail("conv2d: input has {} channels, weight expects {} {}", x.size(1), weight.size(1) * p.groups, both());
  }
  if (weight.size(0) % p.groups) fail("conv2d: {} output channels do not divide into {} groups", weight.size(0), p.groups);
  if (bias.defined() && bias.shape() != Shape{weight.size(0)})
    fail("conv2d: bias is {}, expected [{}]", bias.shape().str(), weight.size(0));
  DType wanted = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  for (const Tensor& parameter : {weight, bias}) {
    if (parameter.defined() && parameter.dtype() != wanted) {
      fail("conv2d: input is {}, so weight and bias are {}, not {}", name_of(x.dtype()), name_of(wanted),
           name_of(parameter.dtype()));
    }
  }
  auto side = [](int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  };
  int64_t h = side(x.size(2), weight.size(2), p.stride.h, p.padding.h, p.dilation.h);
  int64_t w = side(x.size(3), weight.size(3), p.stride.w, p.padding.w, p.dilation.w);
  if (h < 1 || w < 1) fail("conv2d: the kernel is larger than the padded input {}", both());
  return {x.size(0), weight.size(0), h, w};
}

// norm(conv2d + bias) = scale * conv2d + shift
struct Folded {
  Tensor scale, shift;
  bool finite = true;  // otherwise the ReLU of a convolution might hide it
};

template <class T> Folded fold(const ConvNorm& layer) {
  const auto& [weight, bias, conv, norm, params, then] = layer;
  const int64_t channels = weight.size(0), each = weight.numel() / channels;
  Folded folded{Tensor::empty({channels}, weight.dtype()), Tensor::empty({channels}, weight.dtype())};
  const T* elements = weight.data<T>();
  T *scale = folded.scale.mutable_data<T>(), *shift = folded.shift.mutable_data<T>();
  auto at = [](const Tensor& t, int64_t c, double otherwise) { return t.defined() ? double(t.data<T>()[c]) : otherwise; };
  for (int64_t c = 0; c < channels; ++c) {
    const double factor = at(norm.gamma, c, 1) / std::sqrt(at(norm.var, c, 1) + params.eps);
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
  Folded get(const ConvNorm& layer) {
    std::lock_guard lock(mutex_);
    if (Made now(layer); !folded_.scale.defined() || now != made_) {
      folded_ = layer.weight.dtype() == DType::f64 ? fold<double>(layer) : fold<float>(layer);
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
    explicit Made(const ConvNorm& layer) : eps(layer.params.eps) {
      const NormTensors& norm = layer.norm;
      size_t i = 0;
      for (const Tensor* t : {&layer.weight, &layer.bias, &norm.gamma, &norm.beta, &norm.mean, &norm.var}) {
        if (t->defined()) elements[i] = {t->storage()->id(), t->storage()->version()};
        ++i;
      }
    }
    bool operator==(const Made&) const = default;
  };

  std::mutex mutex_;
  Made made_;
  Folded folded_;
};

Folded folded(const ConvNorm& layer) { return layer.weight.storage()->derived<FoldedNorm>().get(layer); }

// The first of the bias and the norm's tensors that is not of the weight's channels and number type; null for none.
const Tensor* misfit(const ConvNorm& layer) {
  const Tensor& weight = layer.weight;
  const auto& [gamma, beta, mean, var] = layer.norm;
  for (const Tensor* t : {&layer.bias, &gamma, &beta, &mean, &var}) {
    if (t->defined() && (t->shape() != Shape{weight.size(0)} || t->dtype() != weight.dtype())) return t;
  }
  return nullptr;
}

}  // namespace

// dx: the transposed convolution of g with the weight. dweight: the correlation of x with g. dbias: g summed over n, h, w.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params) {
  const Shape shape = conv2d_shape(x, weight, bias, params);
  Backend& backend = backend_for(x.dtype(), "conv2d");
  const bool one_by_one = params.groups == x.size(1) && params.groups == shape[1];  // depthwise: channels are not mixed
  const Homogeneity homogeneity{
      Homogeneity::Says::terms,
      {{.axes = {0, one_by_one ? 1 : -1, -1, -1}}, {.axes = {1, -1, -1, -1}}, {.term = 1, .axes = {1}}},
      true};
  return record("conv2d", backend.conv2d(x, weight, bias, {}, params, {}, shape), {x, weight, bias}, saved(x, weight),
                ByKernel{[params, &backend](const Back& k) {
                  const Tensor &input = k.saved[0], &kernel = k.saved[1];
                  Grads grads(3);
                  if (k.needs(1) || k.needs(2)) {
                    auto d = backend.conv2d_backward_weights(k.g, input, kernel.shape(), k.needs(2), params);
                    grads[1] = d.weight;
                    grads[2] = d.bias;
                    Profile::ended(Phase::backward, "conv2d_weights");  // by itself, as it tends to be the slowest
                  }
                  if (k.needs(0)) grads[0] = backend.conv2d_backward_data(k.g, kernel, params, input.shape());
                  return grads;
                }},
                homogeneity);
}

bool is_one_pass(const Tensor& x, const ConvNorm& layer) {
  const auto& [weight, bias, conv, norm, params, then] = layer;
  if (params.training || needs_grad({x, weight, bias, norm.gamma, norm.beta, then.residual})) return false;
  const bool is_whole =
      (weight.dtype() == DType::f32 || weight.dtype() == DType::f64) && weight.rank() == 4 && weight.numel() > 0;
  return is_whole && norm.mean.defined() && norm.var.defined() && !misfit(layer) && folded(layer).finite;
}

Tensor conv2d_norm(const Tensor& x, const ConvNorm& layer) {
  const auto& [weight, bias, conv, norm, params, then] = layer;
  if (const Tensor* other = misfit(layer)) {
    fail("conv2d_norm: weight is {}, so bias, parameters and statistics are {} [{}], not {}", describe(weight),
         name_of(weight.dtype()), weight.size(0), describe(*other));
  }
  if (!is_one_pass(x, layer)) return batch_norm(conv2d(x, weight, bias, conv), norm, params, then);
  const Shape shape = conv2d_shape(x, weight, bias, conv);
  check_residual("conv2d_norm", shape, x.dtype(), then.residual);
  const Folded by = folded(layer);
  Backend& backend = backend_for(x.dtype(), "conv2d");
  return record("conv2d", backend.conv2d(x, weight, by.shift, by.scale, conv, then, shape), {}, saved(), {});
}

}  // namespace az
