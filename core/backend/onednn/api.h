#pragma once

// Where oneDNN 2.x and 3.x differ. Nothing else asks for the version.
#include <dnnl.hpp>
#include <optional>

namespace az::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

// Says whether we know, from the sources of this version, which numbers of images the code of its convolutions depends on.
constexpr bool knows_images_of_code = DNNL_VERSION_MAJOR < 3;

// A convolution's operands, the bias where it has one, and its window; gaps are one less than dilations.
struct ConvDescs {
  Desc x, weight, y;
  std::optional<Desc> bias;
  Dims stride, gaps, before, after;
};
struct PoolDescs {
  Desc x, y;
  Dims stride, kernel, before, after;
};

#if DNNL_VERSION_MAJOR >= 3

inline Dims dims_of(const Desc& desc) { return desc.get_dims(); }
inline dnnl::memory::data_type data_type_of(const Desc& desc) { return desc.get_data_type(); }

inline void append_eltwise(dnnl::post_ops& then, dnnl::algorithm algorithm, float alpha, float beta) {
  then.append_eltwise(algorithm, alpha, beta);
}

// next_impl() changes what copies of a descriptor share: each is given a clone.
template <class PrimitiveDesc, class Visit> void each_implementation(PrimitiveDesc desc, Visit visit) {
  do visit(PrimitiveDesc(desc.get()));
  while (desc.next_impl());
}

inline dnnl::convolution_forward::primitive_desc forward_desc(const dnnl::engine& engine, const ConvDescs& d,
                                                              dnnl::algorithm algorithm,
                                                              const dnnl::primitive_attr& attributes) {
  constexpr auto kind = dnnl::prop_kind::forward_training;
  if (!d.bias) return {engine, kind, algorithm, d.x, d.weight, d.y, d.stride, d.gaps, d.before, d.after, attributes};
  return {engine, kind, algorithm, d.x, d.weight, *d.bias, d.y, d.stride, d.gaps, d.before, d.after, attributes};
}

// Calls visit(primitive descriptor) for each implementation; likewise below.
template <class Visit> void each_forward(const dnnl::engine& engine, const ConvDescs& d, dnnl::algorithm algorithm,
                                         const dnnl::primitive_attr& attributes, Visit visit) {
  each_implementation(forward_desc(engine, d, algorithm, attributes), visit);
}

// Left to itself, an implementation with a stride wants channels last, and some that take blocks are not offered where the
// forward pass reads x row-major. So x and y lie as the forward pass likes best, then both in blocks of 16 and 8, then both
// row-major.
template <class Visit> void each_backward_data(const dnnl::engine& engine, const ConvDescs& d, dnnl::algorithm algorithm,
                                               const dnnl::convolution_forward::primitive_desc& hint,
                                               const dnnl::primitive_attr& attributes, Visit visit) {
  const auto each = [&](const Desc& x, const Desc& y, bool may_be_none) {
    dnnl::convolution_backward_data::primitive_desc desc(engine, algorithm, x, d.weight, y, d.stride, d.gaps, d.before, d.after,
                                                         hint, attributes, may_be_none);
    if (desc) each_implementation(std::move(desc), visit);
  };
  each(hint.src_desc(), hint.dst_desc(), false);
  for (auto tag : {dnnl::memory::format_tag::aBcd16b, dnnl::memory::format_tag::aBcd8b, dnnl::memory::format_tag::abcd})
    each({dims_of(d.x), data_type_of(d.x), tag}, {dims_of(d.y), data_type_of(d.y), tag}, true);
}

template <class Visit> void each_backward_weights(const dnnl::engine& engine, const ConvDescs& d, dnnl::algorithm algorithm,
                                                  const dnnl::convolution_forward::primitive_desc& hint,
                                                  const dnnl::primitive_attr& attributes, Visit visit) {
  using PrimitiveDesc = dnnl::convolution_backward_weights::primitive_desc;
  each_implementation(
      d.bias
          ? PrimitiveDesc(engine, algorithm, d.x, d.weight, *d.bias, d.y, d.stride, d.gaps, d.before, d.after, hint, attributes)
          : PrimitiveDesc(engine, algorithm, d.x, d.weight, d.y, d.stride, d.gaps, d.before, d.after, hint, attributes),
      visit);
}

inline dnnl::pooling_forward::primitive_desc pooling_desc(const dnnl::engine& engine, const PoolDescs& d,
                                                          dnnl::algorithm algorithm, const dnnl::primitive_attr& attributes) {
  const Dims no_gaps(2, 0);
  return {engine,    dnnl::prop_kind::forward_training, algorithm, d.x, d.y, d.stride, d.kernel, no_gaps, d.before, d.after,
          attributes};
}

inline dnnl::pooling_backward::primitive_desc pooling_backward_desc(const dnnl::engine& engine, const PoolDescs& d,
                                                                    dnnl::algorithm algorithm,
                                                                    const dnnl::pooling_forward::primitive_desc& hint,
                                                                    const dnnl::primitive_attr& attributes) {
  const Dims no_gaps(2, 0);
  return {engine, algorithm, d.x, d.y, d.stride, d.kernel, no_gaps, d.before, d.after, hint, attributes};
}

inline dnnl::matmul::primitive_desc matmul_desc(const dnnl::engine& engine, const Desc& a, const Desc& b, const Desc& c,
                                                const dnnl::primitive_attr& attributes) {
  return {engine, a, b, c, attributes};
}

#else

inline Dims dims_of(const Desc& desc) { return desc.dims(); }
inline dnnl::memory::data_type data_type_of(const Desc& desc) { return desc.data_type(); }

inline void append_eltwise(dnnl::post_ops& then, dnnl::algorithm algorithm, float alpha, float beta) {
  then.append_eltwise(1, algorithm, alpha, beta);
}

// What a primitive descriptor is made of has to live as long as others are asked for.
template <class PrimitiveDesc, class Visit> void each_implementation(PrimitiveDesc desc, Visit visit) {
  do visit(desc);
  while (desc.next_impl());
}

inline dnnl::convolution_forward::desc forward_op(const ConvDescs& d, dnnl::algorithm algorithm) {
  constexpr auto kind = dnnl::prop_kind::forward_training;
  if (!d.bias) return {kind, algorithm, d.x, d.weight, d.y, d.stride, d.gaps, d.before, d.after};
  return {kind, algorithm, d.x, d.weight, *d.bias, d.y, d.stride, d.gaps, d.before, d.after};
}

inline dnnl::convolution_forward::primitive_desc forward_desc(const dnnl::engine& engine, const ConvDescs& d,
                                                              dnnl::algorithm algorithm,
                                                              const dnnl::primitive_attr& attributes) {
  return {forward_op(d, algorithm), attributes, engine};
}

// Calls visit(primitive descriptor) for each implementation; likewise below.
template <class Visit> void each_forward(const dnnl::engine& engine, const ConvDescs& d, dnnl::algorithm algorithm,
                                         const dnnl::primitive_attr& attributes, Visit visit) {
  const auto op = forward_op(d, algorithm);
  each_implementation(dnnl::convolution_forward::primitive_desc(op, attributes, engine), visit);
}

template <class Visit> void each_backward_data(const dnnl::engine& engine, const ConvDescs& d, dnnl::algorithm algorithm,
                                               const dnnl::convolution_forward::primitive_desc& hint,
                                               const dnnl::primitive_attr& attributes, Visit visit) {
  using Backward = dnnl::convolution_backward_data;
  const Backward::desc op(algorithm, d.x, d.weight, d.y, d.stride, d.gaps, d.before, d.after);
  each_implementation(Backward::primitive_desc(op, attributes, engine, hint), visit);
}

template <class Visit> void each_backward_weights(const dnnl::engine& engine, const ConvDescs& d, dnnl::algorithm algorithm,
                                                  const dnnl::convolution_forward::primitive_desc& hint,
                                                  const dnnl::primitive_attr& attributes, Visit visit) {
  using Backward = dnnl::convolution_backward_weights;
  const Backward::desc op = d.bias ? Backward::desc(algorithm, d.x, d.weight, *d.bias, d.y, d.stride, d.gaps, d.before, d.after)
                                   : Backward::desc(algorithm, d.x, d.weight, d.y, d.stride, d.gaps, d.before, d.after);
  each_implementation(Backward::primitive_desc(op, attributes, engine, hint), visit);
}

inline dnnl::pooling_forward::primitive_desc pooling_desc(const dnnl::engine& engine, const PoolDescs& d,
                                                          dnnl::algorithm algorithm, const dnnl::primitive_attr& attributes) {
  return {{dnnl::prop_kind::forward_training, algorithm, d.x, d.y, d.stride, d.kernel, d.before, d.after}, attributes, engine};
}

inline dnnl::pooling_backward::primitive_desc pooling_backward_desc(const dnnl::engine& engine, const PoolDescs& d,
                                                                    dnnl::algorithm algorithm,
                                                                    const dnnl::pooling_forward::primitive_desc& hint,
                                                                    const dnnl::primitive_attr& attributes) {
  return {{algorithm, d.x, d.y, d.stride, d.kernel, d.before, d.after}, attributes, engine, hint};
}

inline dnnl::matmul::primitive_desc matmul_desc(const dnnl::engine& engine, const Desc& a, const Desc& b, const Desc& c,
                                                const dnnl::primitive_attr& attributes) {
  return {{a, b, c}, attributes, engine};
}

#endif

}  // namespace az::onednn
