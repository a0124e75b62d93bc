#include "core/backend/reference.h"

#include "core/backend/blas.h"
#include "core/backend/kernel_arguments.h"
#include "core/kernels/reference.h"

namespace az {
namespace {

// Null for an undefined tensor. Throws unless it is row-major and f64. Writing there does not count as a change in place.
double* values_of(const Tensor& x) { return x.defined() ? const_cast<double*>(x.data<double>()) : nullptr; }

}  // namespace

Tensor Reference::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale,
                         const Conv2dParams& params, const Then& then, const Shape& result) {
  const Tensor y = Tensor::empty(result, DType::f64), residual = then.residual.defined() ? then.residual.plain() : Tensor();
  reference::conv2d(conv_shape(x.shape(), weight.shape(), result, params),
                    {.x = values_of(x),
                     .weight = values_of(weight),
                     .bias = values_of(bias),
                     .scale = values_of(scale),
                     .residual = values_of(residual),
                     .relu = then.relu,
                     .y = values_of(y)},
                    gemm);
  return y;
}

Tensor Reference::conv2d_backward_data(const Tensor& given, const Tensor& weight, const Conv2dParams& params, const Shape& x) {
  const Tensor g = given.plain(), dx = Tensor::empty(x, DType::f64);
  reference::conv2d_backward_data(conv_shape(x, weight.shape(), g.shape(), params), values_of(g), values_of(weight),
                                  values_of(dx), gemm);
  return dx;
}

ConvWeightGradients Reference::conv2d_backward_weights(const Tensor& given, const Tensor& x, const Shape& weight,
                                                       bool with_bias, const Conv2dParams& params) {
  const Tensor g = given.plain();
  const ConvWeightGradients d{Tensor::empty(weight, DType::f64), with_bias ? Tensor::empty({weight[0]}, DType::f64) : Tensor()};
  reference::conv2d_backward_weights(
      conv_shape(x.shape(), weight, g.shape(), params),
      {.g = values_of(g), .x = values_of(x), .dweight = values_of(d.weight), .dbias = values_of(d.bias)}, gemm);
  return d;
}

BatchNormResult Reference::batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params,
                                      const Then& then) {
  const Tensor y = Tensor::empty(x.shape(), DType::f64);
  const auto [mean, var] =
      reference::batch_norm({.x = values_of(x), .residual = values_of(then.residual), .y = values_of(y), .relu = then.relu},
                            image_shape(x.shape()), channels_of(norm, params.eps), params.training);
  if (!params.training) return {y, norm.mean, norm.var};
  return {y, Tensor::of<double>({x.size(1)}, mean), Tensor::of<double>({x.size(1)}, var)};
}

BatchNormGradients Reference::batch_norm_backward(const Tensor& first, const Tensor& second, const BatchNormForward& forward) {
  const Tensor &x = forward.x, g = first.plain(), more = second.defined() ? second.plain() : Tensor();
  const Tensor passed = Tensor::empty(x.shape(), DType::f64), dx = Tensor::empty(x.shape(), DType::f64);
  const auto [gamma, beta] = reference::batch_norm_backward(
      {.g = values_of(g),
       .more = values_of(more),
       .x = values_of(x),
       .y = values_of(forward.y),
       .relu = forward.relu,
       .passed = values_of(passed),
       .dx = values_of(dx)},
      image_shape(x.shape()), channels_of(forward.norm, forward.params.eps), forward.params.training);
  return {dx, Tensor::of<double>({x.size(1)}, gamma), Tensor::of<double>({x.size(1)}, beta),
          forward.with_residual ? passed : Tensor()};
}

PoolResult Reference::pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) {
  const Pool2dShape shape{image_shape(x.shape()), image_shape(result), params};
  const PoolResult r{Tensor::empty(result, DType::f64), kind == Pool::max ? Tensor::empty(result, DType::i64) : Tensor()};
  if (kind == Pool::max)
    reference::max_pool(shape, values_of(x), values_of(r.y), r.indices.mutable_data<int64_t>());
  else
    reference::avg_pool(shape, values_of(x), values_of(r.y));
  return r;
}

Tensor Reference::pool2d_backward(Pool kind, const Tensor& given, const PoolResult& forward, const TensorForm& x,
                                  const Pool2dParams& params) {
  const Tensor g = given.plain(), dx = Tensor::empty(x.shape, DType::f64);
  const Pool2dShape shape{image_shape(x.shape), image_shape(g.shape()), params};
  if (kind == Pool::max)
    reference::max_pool_backward(shape, values_of(g), forward.indices.data<int64_t>(), values_of(dx));
  else
    reference::avg_pool_backward(shape, values_of(g), values_of(dx));
  return dx;
}

}  // namespace az
