#include "core/kernels/batch_norm.h"

#include "core/backend/kernel_arguments.h"
#include "core/backend/native.h"
#include "core/backend/reduction.h"
#include "core/backend/reorder.h"
#include "core/kernels/vector.h"

namespace az {
namespace {

template <class T> BatchNormResult forward(const Tensor& x, NormTensors norm, const BatchNormParams& params, const Then& then) {
  const ImageShape shape = image_shape(x.shape(), x.layout());
  if (params.training) {
    const auto [mean, var] = batch_norm_statistics(elements_of<T>(x), shape, params.eps);
    norm.mean = Tensor::of<double>({shape.c}, mean);
    norm.var = Tensor::of<double>({shape.c}, var);
  }
  const BatchNormResult result{Tensor::empty(x.shape(), x.dtype(), x.layout()), norm.mean, norm.var};
  const Tensor added = then.residual.defined() ? laid_out(then.residual, x.layout()) : Tensor();
  batch_norm_forward<T>(
      {.x = elements_of<T>(x), .residual = elements_of<T>(added), .y = elements_of<T>(result.y), .relu = then.relu}, shape,
      channels_of(norm, params.eps));
  return result;
}

// A part of the gradient in the layout of x, and whether its memory may be written over.
struct Addend {
  Tensor tensor;
  bool free = false;
  Addend(const Tensor& g, const Layout* layout) {
    if (!g.defined()) return;
    free = g.is_unshared() || g.layout() != layout;
    tensor = laid_out(g, layout);
  }
};

template <class T> BatchNormGradients backward(const Tensor& g, const Tensor& more, const BatchNormForward& forward) {
  const Tensor& x = forward.x;
  const Addend first(g, x.layout()), second(more, x.layout());
  // What passes is written where it is not what came: summed, or cut by ReLU and asked for by the residual.
  const bool with_residual = forward.with_residual;
  const bool writes = second.tensor.defined() || (with_residual && forward.relu);
  Tensor passed = first.tensor;
  auto fresh = [&] { return Tensor::empty(x.shape(), x.dtype(), x.layout()); };
  if (writes && !first.free) passed = second.free ? second.tensor : fresh();
  Tensor dx;
  if (with_residual)
    dx = second.free && !second.tensor.same(passed) ? second.tensor : fresh();
  else
    dx = writes || first.free ? passed : fresh();

  const BatchNormGradientArrays<T> arrays{.g = elements_of<T>(first.tensor),
                                          .more = elements_of<T>(second.tensor),
                                          .x = elements_of<T>(x),
                                          .y = elements_of<T>(forward.y),
                                          .relu = forward.relu,
                                          .passed = writes ? elements_of<T>(passed) : nullptr,
                                          .dx = elements_of<T>(dx)};
  const ImageShape shape = image_shape(x.shape(), x.layout());
  const auto [gamma, beta] =
      batch_norm_backward(arrays, shape, channels_of(forward.norm, forward.params.eps), forward.params.training);
  return {dx, filled<float>({shape.c}, gamma), filled<float>({shape.c}, beta), with_residual ? passed : Tensor()};
}

}  // namespace

BatchNormResult Native::batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params, const Then& then) {
  return visit_lanes(x.dtype(), [&](auto zero) { return forward<decltype(zero)>(x, norm, params, then); });
}

BatchNormGradients Native::batch_norm_backward(const Tensor& g, const Tensor& more, const BatchNormForward& forward) {
  return visit_lanes(forward.x.dtype(), [&](auto zero) { return backward<decltype(zero)>(g, more, forward); });
}

}  // namespace az
