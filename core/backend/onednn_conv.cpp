#include "core/backend/onednn.h"
#include "core/backend/onednn_detail.h"

namespace az {
namespace {

using namespace onednn;

using dnnl::algorithm;
using dnnl::prop_kind;

struct Problem {
  Shape x, weight, y;
  bool bias;
  const Conv2dParams& params;
  DType type;

  std::vector<int64_t> key() const {
    std::vector<int64_t> key{
        int64_t(type),     bias,         params.stride.h, params.stride.w, params.padding.h, params.padding.w, params.dilation.h,
        params.dilation.w, params.groups};
    for (const Shape& shape : {x, weight}) key.insert(key.end(), shape.begin(), shape.end());
    return key;
  }

  // [o,i,h,w] as oneDNN sees it: [g,o/g,i,h,w] when there are groups.
  Shape grouped_weight() const {
    int64_t g = params.groups;
    return g == 1 ? weight : Shape{g, weight[0] / g, weight[1], weight[2], weight[3]};
  }

  // Measured: at 32 channels and more Winograd wins in all three directions, at 16 it does not.
  std::vector<algorithm> algorithms() const {
    bool plain_3x3 = weight[2] == 3 && weight[3] == 3 && params.stride.h == 1 && params.stride.w == 1 && params.dilation.h == 1 &&
                     params.dilation.w == 1 && params.groups == 1;
    if (type == DType::f32 && plain_3x3 && weight[0] >= 32 && weight[1] >= 32) {
      return {algorithm::convolution_winograd, algorithm::convolution_direct};
    }
    return {algorithm::convolution_direct};
  }
};

dnnl::memory::dims stride_of(const Conv2dParams& p) { return {p.stride.h, p.stride.w}; }
dnnl::memory::dims padding_of(const Conv2dParams& p) { return {p.padding.h, p.padding.w}; }
// oneDNN counts the gaps between taps.
dnnl::memory::dims gaps_of(const Conv2dParams& p) { return {p.dilation.h - 1, p.dilation.w - 1}; }
// What it takes on the right and below for the result to have its size.
dnnl::memory::dims padding_after(const Problem& p) {
  auto side = [](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
    return (out - 1) * stride + dilation * (kernel - 1) + 1 - in - before;
  };
  return {side(p.x[2], p.y[2], p.weight[2], p.params.stride.h, p.params.dilation.h, p.params.padding.h),
          side(p.x[3], p.y[3], p.weight[3], p.params.stride.w, p.params.dilation.w, p.params.padding.w)};
}

// Makes the first primitive descriptor of `algorithms` that oneDNN has for the problem.
template <class Make> auto first_of(const Problem& p, Make make) {
  auto algorithms = p.algorithms();
  for (size_t i = 0; i + 1 < algorithms.size(); ++i) {
    try {
      return make(algorithms[i]);
    } catch (const dnnl::error&) {
      // No such implementation on this processor: the next algorithm.
    }
  }
  return make(algorithms.back());
}

dnnl::convolution_forward::primitive_desc forward_desc(const Problem& p, algorithm algo) {
  auto x = any_desc(p.x, p.type), w = any_desc(p.grouped_weight(), p.type), y = any_desc(p.y, p.type);
  auto stride = stride_of(p.params), gaps = gaps_of(p.params), before = padding_of(p.params), after = padding_after(p);
  if (p.bias) {
    auto b = plain_desc({p.weight[0]}, DType::f32);
    return {{prop_kind::forward_training, algo, x, w, b, y, stride, gaps, before, after}, lent_scratchpad(), engine()};
  }
  return {{prop_kind::forward_training, algo, x, w, y, stride, gaps, before, after}, lent_scratchpad(), engine()};
}

template <class Primitive> struct Made {
  typename Primitive::primitive_desc desc;
  Primitive primitive;
  explicit Made(typename Primitive::primitive_desc d) : desc(d), primitive(d) {}
};

// The weight with its groups as an axis of its own, sharing storage (and so the cache of packed forms).
Tensor grouped(const Tensor& weight, const Problem& p) {
  if (p.params.groups == 1) return weight.detach();
  Shape shape = p.grouped_weight();
  return weight.detach().reshape({shape.begin(), shape.end()});
}

}  // namespace

Tensor OneDnn::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
                      const Shape& result) {
  Problem p{x.shape(), weight.shape(), result, bias.defined(), params, x.dtype()};
  static Cache<Made<dnnl::convolution_forward>> cache;
  auto& made = cache.get(p.key(), [&] {
    return Made<dnnl::convolution_forward>(first_of(p, [&](algorithm algo) { return forward_desc(p, algo); }));
  });
  Tensor source = laid_out(x, made.desc.src_desc()), w = packed(grouped(weight, p), made.desc.weights_desc());
  Tensor y = Tensor::empty(result, p.type, layout_of(made.desc.dst_desc()));
  std::unordered_map<int, dnnl::memory> args{
      {DNNL_ARG_SRC, memory_of(source)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DST, memory_of(y)}};
  if (bias.defined()) args.insert({DNNL_ARG_BIAS, memory_of(bias)});
  execute(made.primitive, made.desc.scratchpad_desc(), std::move(args));
  return y;
}

Tensor OneDnn::conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) {
  Problem p{x, weight.shape(), g.shape(), false, params, g.dtype()};
  static Cache<Made<dnnl::convolution_backward_data>> cache;
  auto& made = cache.get(p.key(), [&] {
    auto hint = forward_desc(p, algorithm::convolution_direct);
    return Made<dnnl::convolution_backward_data>(
        first_of(p, [&](algorithm algo) -> dnnl::convolution_backward_data::primitive_desc {
          return {{algo, any_desc(p.x, p.type), any_desc(p.grouped_weight(), p.type), any_desc(p.y, p.type), stride_of(params),
                   gaps_of(params), padding_of(params), padding_after(p)},
                  lent_scratchpad(),
                  engine(),
                  hint};
        }));
  });
  Tensor source = laid_out(g, made.desc.diff_dst_desc()), w = packed(grouped(weight, p), made.desc.weights_desc());
  Tensor dx = Tensor::empty(x, p.type, layout_of(made.desc.diff_src_desc()));
  execute(made.primitive, made.desc.scratchpad_desc(),
          {{DNNL_ARG_DIFF_DST, memory_of(source)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
  return dx;
}

ConvWeightGradients OneDnn::conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                                    const Conv2dParams& params) {
  Problem p{x.shape(), weight, g.shape(), with_bias, params, g.dtype()};
  static Cache<Made<dnnl::convolution_backward_weights>> cache;
  auto& made = cache.get(p.key(), [&] {
    auto hint = forward_desc(p, algorithm::convolution_direct);
    return Made<dnnl::convolution_backward_weights>(
        first_of(p, [&](algorithm algo) -> dnnl::convolution_backward_weights::primitive_desc {
          auto xd = any_desc(p.x, p.type), wd = any_desc(p.grouped_weight(), DType::f32), yd = any_desc(p.y, p.type);
          auto stride = stride_of(params), gaps = gaps_of(params), before = padding_of(params), after = padding_after(p);
          if (with_bias) {
            auto b = plain_desc({weight[0]}, DType::f32);
            return {{algo, xd, wd, b, yd, stride, gaps, before, after}, lent_scratchpad(), engine(), hint};
          }
          return {{algo, xd, wd, yd, stride, gaps, before, after}, lent_scratchpad(), engine(), hint};
        }));
  });
  Tensor source = laid_out(x, made.desc.src_desc()), upstream = laid_out(g, made.desc.diff_dst_desc());
  Tensor dw = Tensor::empty(p.grouped_weight(), DType::f32, layout_of(made.desc.diff_weights_desc())), db;
  std::unordered_map<int, dnnl::memory> args{
      {DNNL_ARG_SRC, memory_of(source)}, {DNNL_ARG_DIFF_DST, memory_of(upstream)}, {DNNL_ARG_DIFF_WEIGHTS, memory_of(dw)}};
  if (with_bias) {
    db = Tensor::empty({weight[0]});
    args.insert({DNNL_ARG_DIFF_BIAS, memory_of(db)});
  }
  execute(made.primitive, made.desc.scratchpad_desc(), std::move(args));
  return {dw.plain().reshape({weight.begin(), weight.end()}), db};
}

}  // namespace az
