#pragma once

#include "core/backend/conv2d_then.h"
#include "core/kernels/params.h"

namespace az {

struct ConvWeightGradients {
  Tensor weight, bias;  // bias undefined unless asked for
};
// y = (x - mean) / sqrt(variance + eps) * gamma + beta, then + the residual where there is one, then max(y, 0) if relu.
struct BatchNormParams {
  Tensor gamma, beta;  // [c]
  double eps = 1e-5;
  bool relu = false;
  bool constant_statistics = false;  // given, so that no gradient flows through them
};
struct BatchNormResult {
  Tensor y, mean, variance;  // the batch's statistics, f64 [c] (variance biased), or those given
};
struct BatchNormGradients {
  Tensor x, gamma, beta, residual;  // residual undefined where there was none
};
// All of a tensor but its elements.
struct TensorForm {
  Shape shape;
  DType dtype = DType::f32;
  const Layout* layout = nullptr;
  explicit TensorForm(const Tensor& x) : shape(x.shape()), dtype(x.dtype()), layout(x.layout()) {}
};
enum class Pool { max, average };
struct PoolResult {
  Tensor y, indices;  // indices: of max pooling; its form is the back end's own
};

// The kernels that have a faster form than a composition of ops. Tensors in any layout; results lie in the layout the back end
// likes best. Nothing here is recorded for autograd or checks shapes: the ops do that. With x in bf16 the weights, statistics
// and their gradients are f32.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
                        const Conv2dThen& then, const Shape& result) = 0;
  virtual Tensor conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) = 0;
  virtual ConvWeightGradients conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                                      const Conv2dParams& params) = 0;

  // x and residual [n,c,h,w]. Uses the statistics given when `mean` is defined, else takes them over the batch.
  virtual BatchNormResult batch_norm(const Tensor& x, const Tensor& residual, const BatchNormParams& params, const Tensor& mean,
                                     const Tensor& variance) = 0;
  // Gradients of a batch_norm; `forward` has y only where there was a residual. The gradient of y is g, or
  // g + more where that is defined; their memory is written over where nobody else holds it.
  virtual BatchNormGradients batch_norm_backward(const Tensor& g, const Tensor& more, const Tensor& x,
                                                 const BatchNormParams& params, const BatchNormResult& forward) = 0;

  virtual PoolResult pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) = 0;
  virtual Tensor pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                                 const Pool2dParams& params) = 0;
};

// oneDNN for f32 and bf16, plain loops and OpenBLAS for f64; throws, naming `op`, for other number types and for bf16 where the
// processor has none.
Backend& backend_for(DType type, const char* op);

}  // namespace az
