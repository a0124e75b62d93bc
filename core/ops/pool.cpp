#include "core/ops/pool.h"

#include "core/autograd/autograd.h"
#include "core/backend/backend.h"
#include "core/backend/subsample.h"

namespace az {
namespace {

Shape pooled_shape(const char* name, const Tensor& x, const Pool2dParams& p) {
  if (x.rank() != 4) fail("{}: input has 4 axes, not {}", name, x.shape().str());
  if (p.kernel.h < 1 || p.kernel.w < 1 || p.stride.h < 1 || p.stride.w < 1 || p.padding.h < 0 || p.padding.w < 0 ||
      2 * p.padding.h > p.kernel.h || 2 * p.padding.w > p.kernel.w) {
    fail("{}: kernel and stride are at least 1, padding from 0 to half the kernel", name);
  }
  if (x.size(2) < 1 || x.size(3) < 1) fail("{}: the images of {} have no pixels", name, x.shape().str());
  int64_t h = x.size(2) + 2 * p.padding.h - p.kernel.h, w = x.size(3) + 2 * p.padding.w - p.kernel.w;
  if (h < 0 || w < 0)
    fail("{}: the window [{},{}] is larger than the padded input {}", name, p.kernel.h, p.kernel.w, x.shape().str());
  return {x.size(0), x.size(1), h / p.stride.h + 1, w / p.stride.w + 1};
}

// The gradient of each result goes to the largest input of its window (max), or in equal parts to all of them (average).
Tensor pool2d(const char* name, Pool kind, const Tensor& x, const Pool2dParams& params) {
  Shape shape = pooled_shape(name, x, params);
  Backend& backend = backend_for(x.dtype(), name);
  PoolResult result = backend.pool2d(kind, x, params, shape);
  return record(name, result.y, {x}, saved(result.indices),
                ByKernel{[kind, params, &backend, input = TensorForm(x)](const Back& k) {
                  return Grads{backend.pool2d_backward(kind, k.g, {{}, k.saved[0]}, input, params)};
                }},
                Homogeneity::along({0, 1, -1, -1}));
}

// The pixels that were taken get their gradients, the others 0; linear in g, and its gradient is the op itself again.
Tensor subsample_pad_gradient(const Tensor& g, const TensorForm& input, const SubsampleOptions& options) {
  Tensor dx = Tensor::empty(input.shape, input.dtype, input.layout);
  move_pixels({g}, {dx, options.stride}, -((options.channels - input.shape[1]) / 2));
  return record("subsample_pad_gradient", dx, {g}, saved(),
                ByOps{[options](const Back& k) { return Grads{subsample_pad(k.g, options)}; }});
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2dParams& params) { return pool2d("max_pool2d", Pool::max, x, params); }
Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params) { return pool2d("avg_pool2d", Pool::average, x, params); }

Tensor global_avg_pool(const Tensor& x) {
  if (x.rank() != 4) fail("global_avg_pool: input has 4 axes, not {}", x.shape().str());
  Size2 whole(x.size(2), x.size(3));
  return avg_pool2d(x, {.kernel = whole, .stride = whole}).reshape({x.size(0), x.size(1)});
}

Tensor subsample_pad(const Tensor& x, SubsampleOptions options) {
  if (x.rank() != 4 || options.stride < 1 || options.channels < x.size(1)) {
    fail("subsample_pad: input {} has 4 axes and at most {} channels, stride {} is at least 1", x.shape().str(),
         options.channels, options.stride);
  }
  auto side = [&](int64_t axis) { return (x.size(axis) + options.stride - 1) / options.stride; };
  const Shape shape{x.size(0), options.channels, side(2), side(3)};
  const int64_t before = (options.channels - x.size(1)) / 2;
  Tensor y = Tensor::empty(shape, x.dtype(), x.layout());
  move_pixels({x, options.stride}, {y}, before);
  return record("subsample_pad", y, {x}, saved(), ByOps{[options, input = TensorForm(x)](const Back& k) {
                  return Grads{subsample_pad_gradient(k.g, input, options)};
                }},
                Homogeneity::along({0, 1, -1, -1}));
}

}  // namespace az
