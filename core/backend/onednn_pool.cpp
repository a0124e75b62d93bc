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

dnnl::algorithm algorithm_of(Pool kind) {
  return kind == Pool::max ? dnnl::algorithm::pooling_max : dnnl::algorithm::pooling_avg_include_padding;
}

std::vector<int64_t> key_of(Pool kind, const TensorForm& x, const Pool2dParams& p) {
  std::vector<int64_t> key{int64_t(kind), int64_t(x.dtype), int64_t(reinterpret_cast<intptr_t>(x.layout)),
                           p.kernel.h,    p.kernel.w,       p.stride.h,
                           p.stride.w,    p.padding.h,      p.padding.w};
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

Forward& forward_of(Pool kind, const TensorForm& x, const Pool2dParams& params, const Shape& y) {
  static Cache<Forward> cache;
  return cache.get(key_of(kind, x, params), [&] {
    Window w(params, x.shape, y);
    dnnl::pooling_forward::primitive_desc desc({dnnl::prop_kind::forward_training, algorithm_of(kind), desc_of(x),
                                                any_desc(y, x.dtype), w.stride, w.kernel, w.before, w.after},
                                               lent_scratchpad(), engine());
    return Forward{desc, dnnl::pooling_forward(desc)};
  });
}

}  // namespace

PoolResult OneDnn::pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) {
  Forward& made = forward_of(kind, TensorForm(x), params, result);
  PoolResult r{Tensor::empty(result, x.dtype(), layout_of(made.desc.dst_desc())), {}};
  std::unordered_map<int, dnnl::memory> args{{DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_DST, memory_of(r.y)}};
  if (kind == Pool::max) {
    auto workspace = made.desc.workspace_desc();
    r.indices = Tensor::empty({int64_t(workspace.get_size())}, DType::u8);
    args.insert({DNNL_ARG_WORKSPACE, memory_of(workspace, r.indices.raw())});
  }
  execute(made.primitive, made.desc.scratchpad_desc(), std::move(args));
  return r;
}

Tensor OneDnn::pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                               const Pool2dParams& params) {
  static Cache<Backward> cache;
  auto& made = cache.get(key_of(kind, x, params), [&] {
    Window w(params, x.shape, g.shape());
    auto& hint = forward_of(kind, x, params, g.shape()).desc;
    dnnl::pooling_backward::primitive_desc desc(
        {algorithm_of(kind), desc_of(x), hint.dst_desc(), w.stride, w.kernel, w.before, w.after}, lent_scratchpad(), engine(),
        hint);
    return Backward{desc, dnnl::pooling_backward(desc)};
  });
  Tensor upstream = laid_out(g, layout_of(made.desc.diff_dst_desc()));
  Tensor dx = Tensor::empty(x.shape, x.dtype, x.layout);
  std::unordered_map<int, dnnl::memory> args{{DNNL_ARG_DIFF_DST, memory_of(upstream)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}};
  if (kind == Pool::max) args.insert({DNNL_ARG_WORKSPACE, memory_of(made.desc.workspace_desc(), forward.indices.raw())});
  execute(made.primitive, made.desc.scratchpad_desc(), std::move(args));
  return dx;
}

}  // namespace az
