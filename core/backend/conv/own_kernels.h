#pragma once

#include <algorithm>

#include "core/backend/conv/implementation.h"
#include "core/backend/kernel_arguments.h"
#include "core/backend/packed.h"
#include "core/backend/reorder.h"
#include "core/base/simd.h"
#include "core/kernels/channel_sums.h"
#include "core/kernels/epilogue.h"
#include "core/kernels/vector.h"

// How kernels of our own are offered for a convolution problem. For the back end's convolutions only.
//
// Kernels is a struct that names what core/kernels has of them (conv/winograd.cpp): takes(), images_to_try(), packed_size(),
// pack(), scratch_size(), weights_scratch_size(), forward(), backward_data() and backward_weights(); `name` and `transforms`
// are those of Implementation; `form` tells their packed weights from others': a multiple of 64, where oneDNN's begin with an
// address. `packs_large` says that a packed weight is several times the weight's size, `packs_by_direction` that it is another
// one for each direction.
namespace az {

// A problem as the kernels take it: in f32 or bf16, its images laid out alike.
template <class Kernels> struct Fitted {
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
      if (Kernels::takes(shape, wide)) width = wide;
    }
  }

  std::shared_ptr<Storage> packed(const Tensor& weight, const Tensor& scale, bool forward) const {
    const bool turned = Kernels::packs_by_direction && forward;
    const std::array<int64_t, 6> id = {Kernels::form + width * 2 + turned, shape.x.c, shape.y.c, shape.x.block, shape.y.block};
    return packed_weight(weight, scale, {id, sizeof(float) * size_t(Kernels::packed_size(shape)), Kernels::packs_large},
                         [&](const Tensor& source, void* into) {
                           Kernels::pack(source.data<float>(), shape, forward, width, static_cast<float*>(into));
                         });
  }
};

// Memory to work in, if it is any.
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
  const auto packed = by.packed(o.weight.detach(), o.scale, true);
  const Scratch scratch(Kernels::scratch_size(by.shape));
  Kernels::forward(elements_of<T>(x), static_cast<const float*>(packed->data()), then, elements_of<T>(y), by.shape, by.width,
                   scratch.floats());
  return y;
}

template <class T, class Kernels> Tensor solve(const Fitted<Kernels>& by, const ConvBackwardData::Operands& o) {
  const Tensor g = laid_out(o.g, by.layout), dx = Tensor::empty(by.problem.x, by.problem.type, by.layout);
  const auto packed = by.packed(o.weight.detach(), {}, false);
  const Scratch scratch(Kernels::scratch_size(by.shape));
  Kernels::backward_data(elements_of<T>(g), static_cast<const float*>(packed->data()), elements_of<T>(dx), by.shape, by.width,
                         scratch.floats());
  return dx;
}

template <class T, class Kernels> ConvWeightGradients solve(const Fitted<Kernels>& by, const ConvBackwardWeights::Operands& o) {
  const Tensor x = laid_out(o.x, by.layout), g = laid_out(o.g, by.layout), dw = Tensor::empty(by.problem.weight);
  const Scratch scratch(Kernels::weights_scratch_size(by.shape, by.width));
  Kernels::backward_weights(elements_of<T>(x), elements_of<T>(g), elements_of<float>(dw), by.shape, by.width, scratch.floats());
  Tensor db;
  if (by.problem.bias) db = Tensor::of<float>({by.problem.weight[0]}, channel_sums(elements_of<T>(g), by.shape.y));
  return {dw, db};
}

// Adds the kernels to what is offered, at a place in its order, where they take the problem with its images in this layout.
template <class Kernels, class Direction>
void add_own(const ConvProblem& problem, const Layout* layout, size_t place, Implementations<Direction>& offered) {
  const Fitted<Kernels> fitted(problem, layout);
  if (!fitted.width) return;
  const char* vectors = fitted.width == 16 ? "avx512" : fitted.width == 8 ? "avx2" : "any";
  ++offered.competing;
  offered.all.insert(offered.all.begin() + int64_t(place),
                     {.name = fmt::format("{}:{}", Kernels::name, vectors),
                      .x = layout,
                      .y = layout,
                      .transforms = Kernels::transforms,
                      .images = Kernels::images_to_try(fitted.shape, size_of(problem.type)),
                      .make = [fitted]() -> Solve<Direction> {
                        return visit_lanes(fitted.problem.type, [&](auto zero) -> Solve<Direction> {
                          return [fitted](const typename Direction::Operands& operands) {
                            return solve<decltype(zero)>(fitted, operands);
                          };
                        });
                      }});
}

}  // namespace az
