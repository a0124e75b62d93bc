#include "core/backend/onednn/conv_problem.h"

#include <algorithm>

#include "core/base/threads.h"

namespace az::onednn {
namespace {

bool has(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }
// A fall-back: loops, or a product of matrices.
bool is_plain(const std::string& name) { return has(name, "ref") || has(name, "gemm"); }

}  // namespace

std::vector<int64_t> ConvProblem::key() const {
  const Conv2dParams& p = params;
  std::vector<int64_t> key{int64_t(type), bias,        residual,     relu,         p.stride.h, p.stride.w,
                           p.padding.h,   p.padding.w, p.dilation.h, p.dilation.w, p.groups,   thread_count()};
  for (const Layout* layout : given) key.push_back(int64_t(reinterpret_cast<intptr_t>(layout)));
  for (const Shape& shape : {x, weight}) key.insert(key.end(), shape.begin(), shape.end());
  return key;
}

std::string ConvProblem::str(int64_t images) const {
  Shape batch = x;
  batch[0] = images;
  auto both = [](const Size2& size) { return fmt::format("{}x{}", size.h, size.w); };
  std::string text = fmt::format("{} {} {} * {}", direction, az::name_of(type), batch.str(), weight.str());
  text += fmt::format(" stride {} padding {} dilation {} groups {}", both(params.stride), both(params.padding),
                      both(params.dilation), params.groups);
  if (bias) text += " bias";
  if (residual) text += " residual";
  if (relu) text += " relu";
  for (const Layout* layout : given) text += " " + name_of(layout);
  return text;
}

// At 32 channels and more Winograd wins in all three directions, at 16 it does not.
size_t ConvProblem::by_rule(const std::vector<std::string>& names, size_t competing) const {
  const bool wins = type == DType::f32 && weight[2] == 3 && weight[3] == 3 && params.stride.h == 1 && params.stride.w == 1 &&
                    params.dilation.h == 1 && params.dilation.w == 1 && params.groups == 1 && weight[0] >= 32 &&
                    weight[1] >= 32;
  size_t chosen = 0;
  for (size_t i = 0; i < competing && wins; ++i) {
    if (is_winograd(names[i])) chosen = i;
  }
  return chosen;
}

// oneDNN's bf16 kernels sort an input's columns by their number modulo the stride. 2.6.3 leaves those out of which there are
// none, with the zeros that stand for padding there, and the kernel then reads memory that nobody has written
// (jit_trans_iw_ic_int16_t::transpose returns where it has no rows).
bool ConvProblem::fails(const std::string& implementation) const {
  return type == DType::bf16 && direction == "backward_weights" && x[3] < params.stride.w && weight[3] > 1 &&
         !is_plain(implementation);
}

// The blocks of Winograd's are divisors of the number of tiles in the batch. Of the others, none of oneDNN 2.6.3's looks at the
// batch but to tell 1 image from more, 16 or fewer from more, and to share the images among threads, which take turns and add
// up weight gradients: so 17 images, two a thread, and the remainder that the threads would have. Of 3.x that is not known.
int64_t ConvProblem::images_to_try(const std::string& implementation) const {
  const int64_t threads = thread_count(), least = std::max<int64_t>(17, 2 * threads);
  return is_version_3 || is_winograd(implementation) || x[0] <= least ? x[0] : least + (x[0] - least) % threads;
}

namespace {

ConvLayouts layouts_of(const dnnl::memory::desc& x, const dnnl::memory::desc& weight, const dnnl::memory::desc& y) {
  const auto of_x = layout_of(x), of_y = layout_of(y);
  return {of_x.value_or(nullptr), form_of(weight), of_y.value_or(nullptr), of_x && of_y};
}

}  // namespace

ConvLayouts layouts_of(const dnnl::convolution_forward::primitive_desc& desc) {
  return layouts_of(desc.src_desc(), desc.weights_desc(), desc.dst_desc());
}
ConvLayouts layouts_of(const dnnl::convolution_backward_data::primitive_desc& desc) {
  return layouts_of(desc.diff_src_desc(), desc.weights_desc(), desc.diff_dst_desc());
}
ConvLayouts layouts_of(const dnnl::convolution_backward_weights::primitive_desc& desc) {
  return layouts_of(desc.src_desc(), desc.diff_weights_desc(), desc.diff_dst_desc());
}

bool is_winograd(const std::string& name) { return has(name, "wino"); }

bool may_compete(const std::string& name, const std::string& first) {
  auto width = [&](const std::string& text) {
    return has(text, "avx512") ? 3 : has(text, "avx") ? 2 : has(text, "sse") ? 1 : 0;
  };
  return !is_plain(name) && width(name) >= width(first);
}

}  // namespace az::onednn
