#include "core/backend/onednn_conv_directions.h"

#include "core/backend/vector.h"

namespace az::onednn {
namespace {

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

}  // namespace

void ConvForward::describe(algorithm algo, const Visit<Primitive>& visit) const {
  auto op = forward_desc(problem, algo);
  visit({op, forward_attributes(problem, algo), engine()});
}

Tensor ConvForward::solve(const Convolution<Primitive>& by, const Operands& operands) const {
  const ConvProblem& p = problem;
  const Conv2dThen& then = operands.then;
  Tensor x = laid_out(operands.x, by.layout.x), w = packed(grouped(operands.weight, p), by.layout.weight, p.type, then.scale);
  Tensor y = Tensor::empty(p.y, p.type, by.layout.y);
  Tensor residual = p.residual ? laid_out(then.residual, by.layout.y) : Tensor();
  const bool is_apart = is_winograd(by.name());
  std::unordered_map<int, dnnl::memory> args{
      {DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DST, memory_of(y)}};
  if (p.bias) args.insert({DNNL_ARG_BIAS, memory_of(operands.bias)});
  if (p.residual && !is_apart) args.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, memory_of(residual)});
  execute(by.primitive, by.desc.scratchpad_desc(), std::move(args));
  if (is_apart) finish(y, residual, p.relu);
  return y;
}

void ConvBackwardData::describe(algorithm algo, const Visit<Primitive>& visit) const {
  const ConvProblem& p = problem;
  auto hint = forward_hint(p);
  Primitive::desc op(algo, any_desc(p.x, p.type), any_desc(grouped_weight(p), p.type), any_desc(p.y, p.type), stride_of(p.params),
                     gaps_of(p.params), padding_of(p.params), padding_after(p));
  visit({op, lent_scratchpad(), engine(), hint});
}

Tensor ConvBackwardData::solve(const Convolution<Primitive>& by, const Operands& operands) const {
  Tensor g = laid_out(operands.g, by.layout.y), w = packed(grouped(operands.weight, problem), by.layout.weight, problem.type);
  Tensor dx = Tensor::empty(problem.x, problem.type, by.layout.x);
  execute(by.primitive, by.desc.scratchpad_desc(),
          {{DNNL_ARG_DIFF_DST, memory_of(g)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
  return dx;
}

void ConvBackwardWeights::describe(algorithm algo, const Visit<Primitive>& visit) const {
  const ConvProblem& p = problem;
  auto hint = forward_hint(p);
  auto xd = any_desc(p.x, p.type), wd = any_desc(grouped_weight(p), DType::f32), yd = any_desc(p.y, p.type);
  auto b = plain_desc({p.weight[0]}, DType::f32);
  auto stride = stride_of(p.params), gaps = gaps_of(p.params), before = padding_of(p.params), after = padding_after(p);
  auto op = p.bias ? Primitive::desc(algo, xd, wd, b, yd, stride, gaps, before, after)
                   : Primitive::desc(algo, xd, wd, yd, stride, gaps, before, after);
  visit({op, lent_scratchpad(), engine(), hint});
}

ConvWeightGradients ConvBackwardWeights::solve(const Convolution<Primitive>& by, const Operands& operands) const {
  const ConvProblem& p = problem;
  Tensor x = laid_out(operands.x, by.layout.x), g = laid_out(operands.g, by.layout.y);
  Tensor dw = Tensor::empty(grouped_weight(p), DType::f32, by.layout.weight), db;
  std::unordered_map<int, dnnl::memory> args{
      {DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_DIFF_DST, memory_of(g)}, {DNNL_ARG_DIFF_WEIGHTS, memory_of(dw)}};
  if (p.bias) {
    db = Tensor::empty({p.weight[0]});
    args.insert({DNNL_ARG_DIFF_BIAS, memory_of(db)});
  }
  execute(by.primitive, by.desc.scratchpad_desc(), std::move(args));
  return {dw.plain().reshape({p.weight.begin(), p.weight.end()}), db};
}

}  // namespace az::onednn
