#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/backend/backend.h"
#include "core/backend/onednn/detail.h"

// A convolution problem, and what is known of oneDNN's implementations for it. For the back end's convolutions only.
namespace az::onednn {

struct ConvProblem {
  std::string_view direction;  // "forward", "backward_data" or "backward_weights"
  Shape x, weight, y;
  DType type;  // of x and y
  const Conv2dParams& params;
  bool bias = false, residual = false, relu = false;
  std::vector<const Layout*> given = {};  // how the operands lie that are not weights

  std::vector<int64_t> key() const;
  // All of it but the result's shape, which follows, with so many images.
  std::string str(int64_t images) const;
  // Small batches come from finding shapes, or are soon done.
  bool worth_timing() const { return x[0] >= 8; }
  // Which of the implementations to take where timing is not to be had, of the first `competing` names.
  size_t by_rule(const std::vector<std::string>& names, size_t competing) const;
  // Whether that implementation is known to give wrong results here.
  bool fails(const std::string& implementation) const;
  // With how many images an implementation is tried: as many as its code depends on.
  int64_t images_to_try(const std::string& implementation) const;
};

// How a primitive wants its operands and lays out its result.
struct ConvLayouts {
  const Layout* x;
  const Form* weight;
  const Layout* y;
  bool are_ours;  // whether x and y lie as a tensor may
};
ConvLayouts layouts_of(const dnnl::convolution_forward::primitive_desc& desc);
ConvLayouts layouts_of(const dnnl::convolution_backward_data::primitive_desc& desc);
ConvLayouts layouts_of(const dnnl::convolution_backward_weights::primitive_desc& desc);

template <class P> struct Convolution {
  using Desc = typename P::primitive_desc;
  Desc desc;
  P primitive;
  ConvLayouts layout;
  explicit Convolution(const Desc& d) : desc(d), primitive(d), layout(layouts_of(d)) {}
  std::string name() const { return desc.impl_info_str(); }
};

bool is_winograd(const std::string& name);
// Whether implementation `name` may be faster than `first`, the one that oneDNN prefers: neither a plain fall-back nor for
// shorter vectors.
bool may_compete(const std::string& name, const std::string& first);

}  // namespace az::onednn
