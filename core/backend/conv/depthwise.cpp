#include "core/backend/conv/depthwise.h"

#include "core/backend/conv/own_kernels.h"
#include "core/kernels/depthwise.h"

namespace az {
namespace {

struct Depthwise {
  static constexpr const char* name = "depthwise";
  static constexpr bool transforms = false, packs_large = false, packs_by_direction = false;
  static constexpr int64_t form = 64;
  static constexpr auto takes = depthwise::takes;
  static constexpr auto packed_size = depthwise::packed_size;
  static int64_t images_to_try(const Conv2dShape& shape, size_t) { return depthwise::images_to_try(shape); }
  static void pack(const float* weight, const Conv2dShape& shape, bool, int width, float* packed) {
    depthwise::pack(weight, shape, width, packed);
  }
  static int64_t scratch_size(const Conv2dShape&) { return 0; }
  static int64_t weights_scratch_size(const Conv2dShape&, int) { return 0; }
  template <class T> static void forward(const T* x, const float* packed, const Epilogue<T>& then, T* y,
                                         const Conv2dShape& shape, int width, float*) {
    depthwise::forward(x, packed, then, y, shape, width);
  }
  template <class T>
  static void backward_data(const T* g, const float* packed, T* dx, const Conv2dShape& shape, int width, float*) {
    depthwise::backward_data(g, packed, dx, shape, width);
  }
  template <class T>
  static void backward_weights(const T* x, const T* g, float* dw, const Conv2dShape& shape, int width, float*) {
    depthwise::backward_weights(x, g, dw, shape, width);
  }
};

// Where oneDNN's kernels read blocks, ours compete. Elsewhere it has its product of matrices at best, and ours come first, in
// blocks; images' results then have another layout than that, so that nothing competes. With few channels or wide strides the
// product is the faster (tests/benchmarks/README.md).
template <class Direction> void add(const ConvProblem& problem, const Layout* of_first, Implementations<Direction>& offered) {
  if (offered.all.empty()) return;
  if (of_first && of_first->width) return add_own<Depthwise>(problem, of_first, offered.competing, offered);
  const Layout* given = problem.given.empty() ? nullptr : problem.given[0];
  const Layout* blocks = given && given->width >= 8 ? given : blocked_layout(std::max(simd_width(), 8));
  const Conv2dParams& params = problem.params;
  const bool is_wide = params.stride.h > problem.weight[2] || params.stride.w > problem.weight[3];
  if (is_wide || 2 * problem.x[1] < blocks->width) return;
  const size_t before = offered.all.size();
  add_own<Depthwise>(problem, blocks, 0, offered);
  if (offered.all.size() > before && problem.direction != "backward_weights") offered.competing = 1;
}

}  // namespace

void add_depthwise(const ConvProblem& problem, Implementations<ConvForward>& offered) {
  add(problem, offered.all.empty() ? nullptr : offered.all[0].y, offered);
}
void add_depthwise(const ConvProblem& problem, Implementations<ConvBackwardData>& offered) {
  add(problem, offered.all.empty() ? nullptr : offered.all[0].x, offered);
}
void add_depthwise(const ConvProblem& problem, Implementations<ConvBackwardWeights>& offered) {
  add(problem, offered.all.empty() ? nullptr : offered.all[0].y, offered);
}

}  // namespace az
