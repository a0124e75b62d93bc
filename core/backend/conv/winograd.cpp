#include "core/backend/conv/winograd.h"

#include "core/backend/kernel_arguments.h"
#include "core/backend/packed.h"
#include "core/backend/reorder.h"
#include "core/base/simd.h"
#include "core/kernels/channel_sums.h"
#include "core/kernels/vector.h"
#include "core/kernels/winograd.h"

namespace az {
namespace {

// A problem as the kernels take it: in f32 or bf16, its images laid out alike.
struct Fitted {
  ConvProblem problem;
  const Layout* layout;
  int width = 0;  // of vectors; 0: the kernels do not take it
  Conv2dShape shape;

  Fitted(const ConvProblem& p, const Layout* images)
      : problem(p),
        layout(images),
        shape{image_shape(p.x, images), image_shape(p.y, images), {p.weight[2], p.weight[3]}, p.params} {
    if (!in_lanes(p.type)) return;
    for (const int wide : {4, 8, 16}) {
      if (winograd::takes(shape, wide)) width = wide;
    }
  }

  std::shared_ptr<Storage> packed(const Tensor& weight, const Tensor& scale, bool forward) const {
    // It begins with a small number, where oneDNN's forms begin with an address.
    const std::array<int64_t, 6> id = {width * 2 + forward, shape.x.c, shape.y.c, shape.x.block, shape.y.block};
    return packed_weight(weight, scale, {id, sizeof(float) * size_t(winograd::packed_size(shape)), true},
                         [&](const Tensor& source, void* into) {
                           winograd::pack(source.data<float>(), shape, forward, width, static_cast<float*>(into));
                         });
  }
  static std::unique_ptr<Storage> lent(int64_t floats) { return lent_memory("conv2d", sizeof(float) * size_t(floats)); }
};

float* floats(const std::unique_ptr<Storage>& storage) { return static_cast<float*>(storage->data()); }

template <class T> Tensor solve(const Fitted& by, const ConvForward::Operands& o) {
  const ConvProblem& p = by.problem;
  const Tensor x = laid_out(o.x, by.layout), residual = p.residual ? laid_out(o.then.residual, by.layout) : Tensor();
  const Tensor y = Tensor::empty(p.y, p.type, by.layout);
  std::vector<float> bias;
  if (p.bias) bias = o.bias.to_vector<float>();
  bias.resize(p.bias ? size_t(by.shape.y.blocks() * by.shape.y.block) : 0);  // zeros fill up the last block
  const winograd::Epilogue<T> then{p.bias ? bias.data() : nullptr, elements_of<T>(residual), p.relu};
  const auto packed = by.packed(o.weight.detach(), o.scale, true);
  const auto scratch = Fitted::lent(winograd::scratch_size(by.shape));
  winograd::forward<T>(elements_of<T>(x), static_cast<const float*>(packed->data()), then, elements_of<T>(y), by.shape,
                       by.width, floats(scratch));
  return y;
}

template <class T> Tensor solve(const Fitted& by, const ConvBackwardData::Operands& o) {
  const Tensor g = laid_out(o.g, by.layout), dx = Tensor::empty(by.problem.x, by.problem.type, by.layout);
  const auto packed = by.packed(o.weight.detach(), {}, false);
  const auto scratch = Fitted::lent(winograd::scratch_size(by.shape));
  winograd::backward_data<T>(elements_of<T>(g), static_cast<const float*>(packed->data()), elements_of<T>(dx), by.shape,
                             by.width, floats(scratch));
  return dx;
}

template <class T> ConvWeightGradients solve(const Fitted& by, const ConvBackwardWeights::Operands& o) {
  const Tensor x = laid_out(o.x, by.layout), g = laid_out(o.g, by.layout), dw = Tensor::empty(by.problem.weight);
  const auto scratch = Fitted::lent(winograd::weights_scratch_size(by.shape, by.width));
  winograd::backward_weights<T>(elements_of<T>(x), elements_of<T>(g), elements_of<float>(dw), by.shape, by.width,
                                floats(scratch));
  Tensor db;
  if (by.problem.bias) db = Tensor::of<float>({by.problem.weight[0]}, channel_sums(elements_of<T>(g), by.shape.y));
  return {dw, db};
}

template <class Direction> void add(const ConvProblem& problem, const Layout* layout, Implementations<Direction>& offered) {
  const Fitted fitted(problem, layout);
  if (!fitted.width) return;
  const char* vectors = fitted.width == 16 ? "avx512" : fitted.width == 8 ? "avx2" : "any";
  offered.all.insert(offered.all.begin() + int64_t(offered.competing++),
                     {.name = fmt::format("winograd_4x4:{}", vectors),
                      .x = layout,
                      .y = layout,
                      .transforms = true,
                      .images = winograd::images_to_try(fitted.shape, size_of(problem.type)),
                      .make = [fitted]() -> Solve<Direction> {
                        return visit_lanes(fitted.problem.type, [&](auto zero) -> Solve<Direction> {
                          return [fitted](const typename Direction::Operands& operands) {
                            return solve<decltype(zero)>(fitted, operands);
                          };
                        });
                      }});
}

}  // namespace

void add_winograd(const ConvProblem& problem, Implementations<ConvForward>& offered) {
  if (!offered.all.empty()) add(problem, offered.all[0].y, offered);
}
void add_winograd(const ConvProblem& problem, Implementations<ConvBackwardData>& offered) {
  if (!offered.all.empty()) add(problem, offered.all[0].x, offered);
}
void add_winograd(const ConvProblem& problem, Implementations<ConvBackwardWeights>& offered) {
  if (!offered.all.empty()) add(problem, offered.all[0].y, offered);
}

}  // namespace az
