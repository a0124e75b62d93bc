#include "core/backend/max_pool.h"
#include "core/backend/onednn.h"
#include "core/backend/onednn_detail.h"

namespace az {
namespace {

using namespace onednn;

struct Forward {
  dnnl::pooling_forward::primitive_desc desc;
  dnnl::pooling_forward primitive;
};
struct Backward {
  dnnl::pooling_backward::primitive_desc desc;
  dnnl::pooling_backward primitive;
};

// Averages; largest elements are found in max_pool.
constexpr auto algorithm = dnnl::algorithm::pooling_avg_include_padding;

std::vector<int64_t> key_of(const TensorForm& x, const Pool2dParams& p) {
  std::vector<int64_t> key{int64_t(x.dtype), int64_t(reinterpret_cast<intptr_t>(x.layout)),
                           p.kernel.h,       p.kernel.w,
                           p.stride.h,       p.stride.w,
                           p.padding.h,      p.padding.w};
  key.insert(key.end(), x.shape.begin(), x.shape.end());
  return key;
}

dnnl::memory::desc desc_of(const TensorForm& x) { return x.layout ? x.layout->desc : plain_desc(x.shape, x.dtype); }

struct Window {
  dnnl::memory::dims stride, kernel, before, after;
  Window(const Pool2dParams& p, const Shape& x, const Shape& y)
      : stride{p.stride.h, p.stride.w},
        kernel{p.kernel.h, p.kernel.w},
        before{p.padding.h, p.padding.w},
        after{(y[2] - 1) * p.stride.h + p.kernel.h - x[2] - p.padding.h,
              (y[3] - 1) * p.stride.w + p.kernel.w - x[3] - p.padding.w} {}
};

std::shared_ptr<const Forward> forward_of(const TensorForm& x, const Pool2dParams& params, const Shape& y) {
  static Cache<Forward> cache("avg_pool2d");
  return cache.get(key_of(x, params), [&] {
    Window w(params, x.shape, y);
    dnnl::pooling_forward::primitive_desc desc(
        {dnnl::prop_kind::forward_training, algorithm, desc_of(x), any_desc(y, x.dtype), w.stride, w.kernel, w.before, w.after},
        lent_scratchpad(), engine());
    return Forward{desc, dnnl::pooling_forward(desc)};
  });
}

}  // namespace

PoolResult OneDnn::pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) {
  if (kind == Pool::max) return max_pool(x, params, result);
  const auto kept = forward_of(TensorForm(x), params, result);
  const Forward& made = *kept;
  Tensor y = Tensor::empty(result, x.dtype(), layout_of(made.desc.dst_desc()));
  execute(made.primitive, made.desc.scratchpad_desc(), {{DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_DST, memory_of(y)}});
  return {y, {}};
}

Tensor OneDnn::pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                               const Pool2dParams& params) {
  if (kind == Pool::max) return max_pool_backward(g, forward.indices, x, params);
  static Cache<Backward> cache("avg_pool2d: backward");
  const auto kept = cache.get(key_of(x, params), [&] {
    Window w(params, x.shape, g.shape());
    const auto hint = forward_of(x, params, g.shape())->desc;
    dnnl::pooling_backward::primitive_desc desc({algorithm, desc_of(x), hint.dst_desc(), w.stride, w.kernel, w.before, w.after},
                                                lent_scratchpad(), engine(), hint);
    return Backward{desc, dnnl::pooling_backward(desc)};
  });
  const Backward& made = *kept;
  Tensor upstream = laid_out(g, layout_of(made.desc.diff_dst_desc()));
  Tensor dx = Tensor::empty(x.shape, x.dtype, x.layout);
  execute(made.primitive, made.desc.scratchpad_desc(),
          {{DNNL_ARG_DIFF_DST, memory_of(upstream)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
  return dx;
}

}  // namespace az
