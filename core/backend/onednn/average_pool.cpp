#include "core/backend/onednn/average_pool.h"

#include "core/backend/onednn/detail.h"

namespace az::onednn {
namespace {

struct Forward {
  dnnl::pooling_forward::primitive_desc desc;
  dnnl::pooling_forward primitive;
  const Layout* y;
};
struct Backward {
  dnnl::pooling_backward::primitive_desc desc;
  dnnl::pooling_backward primitive;
  const Layout* y;
};

const Layout* known_layout(const dnnl::memory::desc& desc) {
  if (const auto layout = layout_of(desc)) return *layout;
  fail("avg_pool2d: oneDNN wants a layout that is none of ours");
}

constexpr auto algorithm = dnnl::algorithm::pooling_avg_include_padding;

std::vector<int64_t> key_of(const TensorForm& x, const Pool2dParams& p) {
  std::vector<int64_t> key{int64_t(x.dtype), int64_t(reinterpret_cast<intptr_t>(x.layout)),
                           p.kernel.h,       p.kernel.w,
                           p.stride.h,       p.stride.w,
                           p.padding.h,      p.padding.w};
  key.insert(key.end(), x.shape.begin(), x.shape.end());
  return key;
}

PoolDescs descs_of(const TensorForm& x, const Desc& y, const Shape& shape, const Pool2dParams& p) {
  return {.x = desc_of(x.shape, x.dtype, x.layout),
          .y = y,
          .stride = {p.stride.h, p.stride.w},
          .kernel = {p.kernel.h, p.kernel.w},
          .before = {p.padding.h, p.padding.w},
          .after = {(shape[2] - 1) * p.stride.h + p.kernel.h - x.shape[2] - p.padding.h,
                    (shape[3] - 1) * p.stride.w + p.kernel.w - x.shape[3] - p.padding.w}};
}

std::shared_ptr<const Forward> forward_of(const TensorForm& x, const Pool2dParams& params, const Shape& y) {
  static Cache<Forward> cache("avg_pool2d");
  return cache.get(key_of(x, params), [&] {
    const auto desc = pooling_desc(engine(), descs_of(x, any_desc(y, x.dtype), y, params), algorithm, lent_scratchpad());
    return Forward{desc, dnnl::pooling_forward(desc), known_layout(desc.dst_desc())};
  });
}

}  // namespace

Tensor average_pool(const Tensor& x, const Pool2dParams& params, const Shape& result) {
  if (params.kernel.h > INT32_MAX / params.kernel.w)
    fail("avg_pool2d: oneDNN cannot do this: it counts the pixels of a window, {} x {}, in 32 bits", params.kernel.h,
         params.kernel.w);
  const auto kept = forward_of(TensorForm(x), params, result);
  const Forward& made = *kept;
  Tensor y = Tensor::empty(result, x.dtype(), made.y);
  execute(made.primitive, made.desc.scratchpad_desc(), {{DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_DST, memory_of(y)}});
  return y;
}

Tensor average_pool_backward(const Tensor& g, const TensorForm& x, const Pool2dParams& params) {
  static Cache<Backward> cache("avg_pool2d: backward");
  const auto kept = cache.get(key_of(x, params), [&] {
    const auto hint = forward_of(x, params, g.shape())->desc;
    const auto desc =
        pooling_backward_desc(engine(), descs_of(x, hint.dst_desc(), g.shape(), params), algorithm, hint, lent_scratchpad());
    return Backward{desc, dnnl::pooling_backward(desc), known_layout(desc.diff_dst_desc())};
  });
  const Backward& made = *kept;
  Tensor upstream = laid_out(g, made.y);
  Tensor dx = Tensor::empty(x.shape, x.dtype, x.layout);
  execute(made.primitive, made.desc.scratchpad_desc(),
          {{DNNL_ARG_DIFF_DST, memory_of(upstream)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
  return dx;
}

}  // namespace az::onednn
