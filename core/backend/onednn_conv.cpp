#include "core/backend/onednn.h"
#include "core/backend/onednn_conv_trial.h"
#include "core/backend/reference.h"
#include "core/backend/vector.h"

namespace az {
namespace {

using namespace onednn;

using dnnl::algorithm;
using dnnl::prop_kind;

dnnl::memory::dims stride_of(const Conv2dParams& p) { return {p.stride.h, p.stride.w}; }
dnnl::memory::dims padding_of(const Conv2dParams& p) { return {p.padding.h, p.padding.w}; }
// oneDNN counts the gaps between taps.
dnnl::memory::dims gaps_of(const Conv2dParams& p) { return {p.dilation.h - 1, p.dilation.w - 1}; }
// What it takes on the right and below for the result to have its size.
dnnl::memory::dims padding_after(const ConvProblem& p) {
  auto side = [](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
    return (out - 1) * stride + dilation * (kernel - 1) + 1 - in - before;
  };
  return {side(p.x[2], p.y[2], p.weight[2], p.params.stride.h, p.params.dilation.h, p.params.padding.h),
          side(p.x[3], p.y[3], p.weight[3], p.params.stride.w, p.params.dilation.w, p.params.padding.w)};
}

// [o,i,h,w] as oneDNN sees it: [g,o/g,i,h,w] when there are groups.
Shape grouped_weight(const ConvProblem& p) {
  int64_t g = p.params.groups;
  return g == 1 ? p.weight : Shape{g, p.weight[0] / g, p.weight[1], p.weight[2], p.weight[3]};
}

dnnl::convolution_forward::desc forward_desc(const ConvProblem& p, algorithm algo) {
  auto x = any_desc(p.x, p.type), w = any_desc(grouped_weight(p), p.type), y = any_desc(p.y, p.type);
  auto stride = stride_of(p.params), gaps = gaps_of(p.params), before = padding_of(p.params), after = padding_after(p);
  if (!p.bias) return {prop_kind::forward_training, algo, x, w, y, stride, gaps, before, after};
  return {prop_kind::forward_training, algo, x, w, plain_desc({p.weight[0]}, DType::f32), y, stride, gaps, before, after};
}

// What backward descriptors are made with.
dnnl::convolution_forward::primitive_desc forward_hint(const ConvProblem& p) {
  return {forward_desc(p, algorithm::convolution_direct), lent_scratchpad(), engine()};
}

// The residual is read beside the result and lies like it, as each implementation lays it out. Winograd's could only add to what
// it finds in the result's place, which takes a copy there first, and its ReLU makes NaN 0: finish() does both.
dnnl::primitive_attr forward_attributes(const ConvProblem& p, algorithm algo) {
  dnnl::primitive_attr attributes = lent_scratchpad();
  if (algo == algorithm::convolution_winograd) return attributes;
  dnnl::post_ops then;
  if (p.residual) then.append_binary(algorithm::binary_add, any_desc(p.y, p.type));
  // With a slope of 0 below zero, oneDNN makes NaN 0; this one is lost beside any activation.
  if (p.relu) then.append_eltwise(1, algorithm::eltwise_relu, 1e-20F, 0);
  attributes.set_post_ops(then);
  return attributes;
}

// f32 y, then + the residual, laid out alike, and ReLU, each where asked for.
void finish(const Tensor& y, const Tensor& residual, bool with_relu) {
  auto* values = static_cast<float*>(y.raw());
  const int64_t count = int64_t(y.storage()->bytes() / sizeof(float));
  if (residual.defined())
    (with_relu ? add_relu<float> : add<float>)(count, values, static_cast<const float*>(residual.raw()), values);
  else if (with_relu)
    relu(count, values, values);
}

// The weight with its groups as an axis of its own, sharing storage (and so the cache of packed forms).
Tensor grouped(const Tensor& weight, const ConvProblem& p) {
  if (p.params.groups == 1) return weight.detach();
  Shape shape = grouped_weight(p);
  return weight.detach().reshape({shape.begin(), shape.end()});
}

// For the reference back end.
Tensor exact(const Tensor& x) { return x.defined() ? x.detach().plain().to(DType::f64) : Tensor(); }

}  // namespace

Tensor OneDnn::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
                      const Conv2dThen& then, const Shape& result) {
  ConvProblem p{"forward", x.shape(), weight.shape(), result, x.dtype(), params};
  p.bias = bias.defined();
  p.residual = then.residual.defined();
  p.relu = then.relu;
  p.given = {x.layout()};
  auto describe = [&](algorithm algo, auto visit) {
    auto op = forward_desc(p, algo);
    visit({op, forward_attributes(p, algo), engine()});
  };
  using Chosen = Convolution<dnnl::convolution_forward>;
  auto solve = [&](const Chosen& c, const Tensor& in, const Tensor& kernel, const Tensor& added, const Conv2dThen& last) {
    Tensor source = laid_out(in, c.layout.x), w = packed(grouped(kernel, p), c.layout.weight, p.type, last.scale);
    Tensor y = Tensor::empty(result, p.type, c.layout.y);
    Tensor residual = p.residual ? laid_out(last.residual, c.layout.y) : Tensor();
    const bool is_apart = is_winograd(c.desc.impl_info_str());
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, memory_of(source)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DST, memory_of(y)}};
    if (p.bias) args.insert({DNNL_ARG_BIAS, memory_of(added)});
    if (p.residual && !is_apart) args.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, memory_of(residual)});
    execute(c.primitive, c.desc.scratchpad_desc(), std::move(args));
    if (is_apart) finish(y, residual, p.relu);
    return y;
  };
  const auto c = chosen<dnnl::convolution_forward>(
      p, describe, [&](const Chosen& tried) { solve(tried, x, weight, bias, then); },
      [&](const Chosen& tried) {
        const ConvTrial trial(p);
        return trial.is_right(tried.desc.impl_info_str(),
                              solve(tried, trial.x(), trial.weight(), trial.bias(), {.residual = trial.residual()}));
      });
  if (c) return solve(*c, x, weight, bias, then);
  return Reference()
      .conv2d(exact(x), exact(weight), exact(bias), params, {exact(then.scale), exact(then.residual), then.relu}, result)
      .to(p.type);
}

Tensor OneDnn::conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) {
  ConvProblem p{"backward_data", x, weight.shape(), g.shape(), g.dtype(), params};
  p.given = {g.layout()};
  auto describe = [&](algorithm algo, auto visit) {
    auto hint = forward_hint(p);
    dnnl::convolution_backward_data::desc op(algo, any_desc(p.x, p.type), any_desc(grouped_weight(p), p.type),
                                             any_desc(p.y, p.type), stride_of(params), gaps_of(params), padding_of(params),
                                             padding_after(p));
    visit({op, lent_scratchpad(), engine(), hint});
  };
  using Chosen = Convolution<dnnl::convolution_backward_data>;
  auto solve = [&](const Chosen& c, const Tensor& upstream, const Tensor& kernel) {
    Tensor source = laid_out(upstream, c.layout.y), w = packed(grouped(kernel, p), c.layout.weight, p.type);
    Tensor dx = Tensor::empty(x, p.type, c.layout.x);
    execute(c.primitive, c.desc.scratchpad_desc(),
            {{DNNL_ARG_DIFF_DST, memory_of(source)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
    return dx;
  };
  const auto c = chosen<dnnl::convolution_backward_data>(
      p, describe, [&](const Chosen& tried) { solve(tried, g, weight); },
      [&](const Chosen& tried) {
        const ConvTrial trial(p);
        return trial.is_right_gradient(tried.desc.impl_info_str(), solve(tried, trial.g(), trial.weight()));
      });
  if (c) return solve(*c, g, weight);
  return Reference().conv2d_backward_data(exact(g), exact(weight), params, x).to(p.type);
}

ConvWeightGradients OneDnn::conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                                    const Conv2dParams& params) {
  ConvProblem p{"backward_weights", x.shape(), weight, g.shape(), g.dtype(), params};
  p.bias = with_bias;
  p.given = {x.layout(), g.layout()};
  auto describe = [&](algorithm algo, auto visit) {
    using Desc = dnnl::convolution_backward_weights::desc;
    auto hint = forward_hint(p);
    auto xd = any_desc(p.x, p.type), wd = any_desc(grouped_weight(p), DType::f32), yd = any_desc(p.y, p.type);
    auto b = plain_desc({weight[0]}, DType::f32);
    auto stride = stride_of(params), gaps = gaps_of(params), before = padding_of(params), after = padding_after(p);
    auto op =
        with_bias ? Desc(algo, xd, wd, b, yd, stride, gaps, before, after) : Desc(algo, xd, wd, yd, stride, gaps, before, after);
    visit({op, lent_scratchpad(), engine(), hint});
  };
  using Chosen = Convolution<dnnl::convolution_backward_weights>;
  auto solve = [&](const Chosen& c, const Tensor& in, const Tensor& from) -> ConvWeightGradients {
    Tensor source = laid_out(in, c.layout.x), upstream = laid_out(from, c.layout.y);
    Tensor dw = Tensor::empty(grouped_weight(p), DType::f32, c.layout.weight), db;
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, memory_of(source)}, {DNNL_ARG_DIFF_DST, memory_of(upstream)}, {DNNL_ARG_DIFF_WEIGHTS, memory_of(dw)}};
    if (with_bias) {
      db = Tensor::empty({weight[0]});
      args.insert({DNNL_ARG_DIFF_BIAS, memory_of(db)});
    }
    execute(c.primitive, c.desc.scratchpad_desc(), std::move(args));
    return {dw.plain().reshape({weight.begin(), weight.end()}), db};
  };
  const auto c = chosen<dnnl::convolution_backward_weights>(
      p, describe, [&](const Chosen& tried) { solve(tried, x, g); },
      [&](const Chosen& tried) {
        const ConvTrial trial(p);
        return trial.is_right_gradient(tried.desc.impl_info_str(), solve(tried, trial.x(), trial.g()));
      });
  if (c) return solve(*c, x, g);
  const ConvWeightGradients d = Reference().conv2d_backward_weights(exact(g), exact(x), weight, with_bias, params);
  return {d.weight.to(DType::f32), with_bias ? d.bias.to(DType::f32) : Tensor()};
}

}  // namespace az
