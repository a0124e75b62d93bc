#include "core/backend/conv/own_kernels.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/backend/kernel_arguments.h"
#include "core/backend/packed.h"
#include "core/backend/reorder.h"
#include "core/base/simd.h"
#include "core/kernels/channel_sums.h"
#include "core/kernels/depthwise.h"
#include "core/kernels/epilogue.h"
#include "core/kernels/vector.h"
#include "core/kernels/winograd.h"

namespace az {
namespace {

// What core/kernels has of each: a Kernels below. `name` and `transforms` are those of Implementation;
// `competes_in_channels_last` says whether they are worth a try where channels come last, and is_worth_preparing() whether a
// problem is large enough for what they do to the weight at each use, where they would come before oneDNN's.
// `of_bf16` are for images in bf16 alone.
template <bool with_bf16> struct Winograd {
  static constexpr const char* name = "winograd_4x4";
  static constexpr bool transforms = true, competes_in_channels_last = true, of_bf16 = with_bf16;
  static winograd::Vectors vectors(int width) { return {width, with_bf16}; }
  static constexpr auto takes = winograd::takes;
  static constexpr auto is_worth_preparing = winograd::is_worth_transforming;
  static constexpr auto images_to_try = winograd::images_to_try;
  static constexpr auto scratch_size = winograd::scratch_size;
  static constexpr auto weights_scratch_size = winograd::weights_scratch_size;
  static void forward(auto... all) { winograd::forward(all...); }
  static void backward_data(auto... all) { winograd::backward_data(all...); }
  static void backward_weights(auto... all) { winograd::backward_weights(all...); }
};

struct Depthwise {
  static constexpr const char* name = "depthwise";
  static constexpr bool transforms = false, competes_in_channels_last = false, of_bf16 = false;
  static int vectors(int width) { return width; }
  static constexpr auto takes = depthwise::takes;
  static bool is_worth_preparing(const Conv2dShape&) { return true; }
  static int64_t images_to_try(const Conv2dShape& shape, size_t) { return depthwise::images_to_try(shape); }
  static int64_t scratch_size(const Conv2dShape& shape, int) { return depthwise::packed_size(shape); }
  static int64_t weights_scratch_size(const Conv2dShape&, int) { return 0; }
  template <class T> static void forward(const T* x, const float* weight, const float* scale, const Epilogue<T>& then, T* y,
                                         const Conv2dShape& shape, int width, float* scratch) {
    depthwise::pack(weight, scale, shape, width, scratch);
    depthwise::forward(x, scratch, then, y, shape, width);
  }
  template <class T>
  static void backward_data(const T* g, const float* weight, T* dx, const Conv2dShape& shape, int width, float* scratch) {
    depthwise::pack(weight, nullptr, shape, width, scratch);
    depthwise::backward_data(g, scratch, dx, shape, width);
  }
  template <class T>
  static void backward_weights(const T* x, const T* g, float* dw, const Conv2dShape& shape, int width, float*) {
    depthwise::backward_weights(x, g, dw, shape, width);
  }
};

// A problem as the kernels take it: in f32 or bf16, its images laid out alike.
template <class Kernels> struct Fitted {
  ConvProblem problem;
  const Layout* layout;
  Conv2dShape shape;
  bool is_taken = false;
  decltype(Kernels::vectors(0)) vectors{};

  Fitted(const ConvProblem& p, const Layout* images)
      : problem(p),
        layout(images),
        shape{image_shape(p.x, images), image_shape(p.y, images), {p.weight[2], p.weight[3]}, p.params} {
    if (!in_lanes(p.type) || (Kernels::of_bf16 && p.type != DType::bf16)) return;
    for (const int width : {4, 8, 16}) {
      const auto these = Kernels::vectors(width);
      if (!Kernels::takes(shape, these)) continue;
      is_taken = true;
      vectors = these;
    }
  }
};

// Memory of so many floats to work in; floats() is nullptr where that is none.
class Scratch {
 public:
  explicit Scratch(int64_t floats) {
    if (floats) storage_ = lent_memory("conv2d", sizeof(float) * size_t(floats));
  }
  float* floats() const { return storage_ ? static_cast<float*>(storage_->data()) : nullptr; }

 private:
  std::unique_ptr<Storage> storage_;
};

template <class T, class Kernels> Tensor solve(const Fitted<Kernels>& by, const ConvForward::Operands& o) {
  const ConvProblem& p = by.problem;
  const Tensor x = laid_out(o.x, by.layout), residual = p.residual ? laid_out(o.then.residual, by.layout) : Tensor();
  const Tensor y = Tensor::empty(p.y, p.type, by.layout);
  std::vector<float> bias;
  if (p.bias) bias = o.bias.to_vector<float>();
  bias.resize(p.bias ? size_t(by.shape.y.blocks() * by.shape.y.block) : 0);  // zeros fill up the last block
  const Epilogue<T> then{p.bias ? bias.data() : nullptr, elements_of<T>(residual), p.relu};
  const float* scale = o.scale.defined() ? o.scale.data<float>() : nullptr;
  const Scratch scratch(Kernels::scratch_size(by.shape, by.vectors));
  Kernels::forward(elements_of<T>(x), o.weight.data<float>(), scale, then, elements_of<T>(y), by.shape, by.vectors,
                   scratch.floats());
  return y;
}

template <class T, class Kernels> Tensor solve(const Fitted<Kernels>& by, const ConvBackwardData::Operands& o) {
  const Tensor g = laid_out(o.g, by.layout), dx = Tensor::empty(by.problem.x, by.problem.type, by.layout);
  const Scratch scratch(Kernels::scratch_size(by.shape, by.vectors));
  Kernels::backward_data(elements_of<T>(g), o.weight.data<float>(), elements_of<T>(dx), by.shape, by.vectors, scratch.floats());
  return dx;
}

template <class T, class Kernels> ConvWeightGradients solve(const Fitted<Kernels>& by, const ConvBackwardWeights::Operands& o) {
  const Tensor x = laid_out(o.x, by.layout), g = laid_out(o.g, by.layout), dw = Tensor::empty(by.problem.weight);
  const Scratch scratch(Kernels::weights_scratch_size(by.shape, by.vectors));
  Kernels::backward_weights(elements_of<T>(x), elements_of<T>(g), elements_of<float>(dw), by.shape, by.vectors,
                            scratch.floats());
  Tensor db;
  if (by.problem.bias) db = Tensor::of<float>({by.problem.weight[0]}, channel_sums(elements_of<T>(g), by.shape.y));
  return {dw, db};
}

const char* instructions_of(int width) { return width == 16 ? "avx512" : width == 8 ? "avx2" : "any"; }
const char* instructions_of(const winograd::Vectors& vectors) {
  return vectors.of_bf16 ? "avx512_bf16" : instructions_of(vectors.width);
}

template <class Kernels, class Direction> Implementation<Direction> own_implementation(const Fitted<Kernels>& fitted) {
  return {.name = fmt::format("{}:{}", Kernels::name, instructions_of(fitted.vectors)),
          .x = fitted.layout,
          .y = fitted.layout,
          .transforms = Kernels::transforms,
          .images = Kernels::images_to_try(fitted.shape, size_of(fitted.problem.type)),
          .make = [fitted]() -> Solve<Direction> {
            return visit_lanes(fitted.problem.type, [&](auto zero) -> Solve<Direction> {
              return [fitted](const typename Direction::Operands& operands) { return solve<decltype(zero)>(fitted, operands); };
            });
          }};
}

// Adds the kernels of one kind to those offered, at the place that the comment on add_own_kernels() gives.
template <class Kernels, class Direction> void add_own(const ConvProblem& problem, Implementations<Direction>& offered) {
  if (offered.all.empty()) return;
  const bool has_images_for_result = std::is_same_v<typename Direction::Result, Tensor>;
  const auto& first = offered.all[0];
  const Layout* of_first = std::is_same_v<Direction, ConvBackwardData> ? first.x : first.y;
  if (of_first && (of_first->width || Kernels::competes_in_channels_last)) {
    const Fitted<Kernels> alike(problem, of_first);
    if (!alike.is_taken) return;
    offered.all.insert(offered.all.begin() + int64_t(offered.competing), own_implementation<Kernels, Direction>(alike));
    ++offered.competing;
    return;
  }
  const Layout* given = problem.given.empty() ? nullptr : problem.given[0];
  const Layout* blocks = given && given->width >= 8 ? given : blocked_layout(std::max(simd_width(), 8));
  const Conv2dParams& params = problem.params;
  const bool is_wide = params.stride.h > problem.weight[2] || params.stride.w > problem.weight[3];
  const bool has_few_channels = 2 * std::min(problem.x[1], problem.y[1]) < blocks->width;
  if (is_wide || has_few_channels) return;
  const Fitted<Kernels> fitted(problem, blocks);
  if (!fitted.is_taken || !Kernels::is_worth_preparing(fitted.shape)) return;
  offered.all.insert(offered.all.begin(), own_implementation<Kernels, Direction>(fitted));
  offered.competing = has_images_for_result ? 1 : offered.competing + 1;
}

}  // namespace

template <class Direction> void add_own_kernels(const ConvProblem& problem, Implementations<Direction>& offered) {
  add_own<Winograd<false>>(problem, offered);
  add_own<Winograd<true>>(problem, offered);  // behind it: what is not timed keeps products in f32
  add_own<Depthwise>(problem, offered);
}
template void add_own_kernels(const ConvProblem&, Implementations<ConvForward>&);
template void add_own_kernels(const ConvProblem&, Implementations<ConvBackwardData>&);
template void add_own_kernels(const ConvProblem&, Implementations<ConvBackwardWeights>&);

}  // namespace az
