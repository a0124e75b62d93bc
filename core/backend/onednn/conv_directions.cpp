#include "core/backend/onednn/conv_directions.h"

#include "core/kernels/vector.h"

namespace az::onednn {
namespace {

using dnnl::algorithm;

// What it takes on the right and below for the result to have its size.
Dims padding_after(const ConvProblem& p) {
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

// Its operands in whatever layout the primitive likes best, the weight's gradient in f32.
ConvDescs descs_of(const ConvProblem& p) {
  const DType weight_type = p.direction == "backward_weights" ? DType::f32 : p.type;
  ConvDescs descs{.x = any_desc(p.x, p.type),
                  .weight = any_desc(grouped_weight(p), weight_type),
                  .y = any_desc(p.y, p.type),
                  .bias = {},
                  .stride = {p.params.stride.h, p.params.stride.w},
                  .gaps = {p.params.dilation.h - 1, p.params.dilation.w - 1},  // between taps
                  .before = {p.params.padding.h, p.params.padding.w},
                  .after = padding_after(p)};
  if (p.bias) descs.bias = plain_desc({p.weight[0]}, DType::f32);
  return descs;
}

// What backward descriptors are made with.
dnnl::convolution_forward::primitive_desc forward_hint(const ConvProblem& p) {
  ConvDescs descs = descs_of(p);
  descs.weight = any_desc(grouped_weight(p), p.type);
  return forward_desc(engine(), descs, algorithm::convolution_direct, lent_scratchpad());
}

// The residual is read beside the result and lies like it, as each implementation lays it out. Winograd's could only add to
// what it finds in the result's place, which takes a copy there first, and its ReLU makes NaN 0: finish() does both.
dnnl::primitive_attr forward_attributes(const ConvProblem& p, algorithm algo) {
  dnnl::primitive_attr attributes = lent_scratchpad();
  if (algo == algorithm::convolution_winograd) return attributes;
  dnnl::post_ops then;
  if (p.residual) then.append_binary(algorithm::binary_add, any_desc(p.y, p.type));
  // With a slope of 0 below zero, oneDNN makes NaN 0; this one is lost beside any activation.
  if (p.relu) append_eltwise(then, algorithm::eltwise_relu, 1e-20F, 0);
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
  each_forward(engine(), descs_of(problem), algo, forward_attributes(problem, algo), visit);
}

Tensor ConvForward::solve(const Convolution<Primitive>& by, const Operands& operands) const {
  const ConvProblem& p = problem;
  const Tensor x = laid_out(operands.x, by.layout.x);
  const Held w = packed(grouped(operands.weight, p), by.layout.weight, operands.scale);
  Tensor y = Tensor::empty(p.y, p.type, by.layout.y);
  Tensor residual = p.residual ? laid_out(operands.then.residual, by.layout.y) : Tensor();
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
  each_backward_data(engine(), descs_of(problem), algo, forward_hint(problem), lent_scratchpad(), visit);
}

Tensor ConvBackwardData::solve(const Convolution<Primitive>& by, const Operands& operands) const {
  const Tensor g = laid_out(operands.g, by.layout.y);
  const Held w = packed(grouped(operands.weight, problem), by.layout.weight);
  Tensor dx = Tensor::empty(problem.x, problem.type, by.layout.x);
  execute(by.primitive, by.desc.scratchpad_desc(),
          {{DNNL_ARG_DIFF_DST, memory_of(g)}, {DNNL_ARG_WEIGHTS, memory_of(w)}, {DNNL_ARG_DIFF_SRC, memory_of(dx)}});
  return dx;
}

void ConvBackwardWeights::describe(algorithm algo, const Visit<Primitive>& visit) const {
  each_backward_weights(engine(), descs_of(problem), algo, forward_hint(problem), lent_scratchpad(), visit);
}

ConvWeightGradients ConvBackwardWeights::solve(const Convolution<Primitive>& by, const Operands& operands) const {
  const ConvProblem& p = problem;
  Tensor x = laid_out(operands.x, by.layout.x), g = laid_out(operands.g, by.layout.y);
  const Held dw(by.layout.weight);
  Tensor db;
  std::unordered_map<int, dnnl::memory> args{
      {DNNL_ARG_SRC, memory_of(x)}, {DNNL_ARG_DIFF_DST, memory_of(g)}, {DNNL_ARG_DIFF_WEIGHTS, memory_of(dw)}};
  if (p.bias) {
    db = Tensor::empty({p.weight[0]});
    args.insert({DNNL_ARG_DIFF_BIAS, memory_of(db)});
  }
  execute(by.primitive, by.desc.scratchpad_desc(), std::move(args));
  return {unpacked(dw, p.weight), db};
}

}  // namespace az::onednn
