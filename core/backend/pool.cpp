#include "core/backend/kernel_arguments.h"
#include "core/backend/native.h"
#include "core/backend/onednn/average_pool.h"
#include "core/backend/reorder.h"
#include "core/kernels/max_pool.h"
#include "core/kernels/vector.h"

namespace az {
namespace {

Pool2dShape pool_shape(const TensorForm& x, const Shape& y, const Pool2dParams& params) {
  return {image_shape(x.shape, x.layout), image_shape(y, x.layout), params};
}

// Max pooling in any layout; y lies as x does, where that is in blocks of channels, else row-major. `indices` holds for each
// element of y the place in the window where it was found: a byte, or for windows of more than 256 a u32 in four bytes of them.
PoolResult max_pool(const Tensor& x, const Pool2dParams& params, const Shape& result) {
  const Pool2dShape shape = pool_shape(TensorForm(x), result, params);
  const PoolResult r{Tensor::empty(result, x.dtype(), x.layout()),
                     Tensor::empty({shape.y.planes() * shape.y.plane() * place_bytes(params)}, DType::u8)};
  visit_lanes(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    max_pool_forward(shape, elements_of<const T>(x), elements_of<T>(r.y), r.indices.raw());
  });
  return r;
}

Tensor max_pool_backward(const Tensor& given, const Tensor& indices, const TensorForm& x, const Pool2dParams& params) {
  const Tensor dx = Tensor::empty(x.shape, x.dtype, x.layout), g = laid_out(given, x.layout);
  const Pool2dShape shape = pool_shape(x, g.shape(), params);
  visit_lanes(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    max_pool_backward(shape, elements_of<const T>(g), indices.raw(), elements_of<T>(dx));
  });
  return dx;
}

}  // namespace

PoolResult Native::pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) {
  return kind == Pool::max ? max_pool(x, params, result) : PoolResult{onednn::average_pool(x, params, result), {}};
}

Tensor Native::pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                               const Pool2dParams& params) {
  return kind == Pool::max ? max_pool_backward(g, forward.indices, x, params) : onednn::average_pool_backward(g, x, params);
}

}  // namespace az
