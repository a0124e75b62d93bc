#include "core/backend/conv/winograd.h"

#include "core/backend/conv/own_kernels.h"
#include "core/kernels/winograd.h"

namespace az {
namespace {

struct Winograd {
  static constexpr const char* name = "winograd_4x4";
  static constexpr bool transforms = true, packs_large = true, packs_by_direction = true;
  static constexpr int64_t form = 0;
  static constexpr auto takes = winograd::takes;
  static constexpr auto images_to_try = winograd::images_to_try;
  static constexpr auto packed_size = winograd::packed_size;
  static constexpr auto pack = winograd::pack;
  static constexpr auto scratch_size = winograd::scratch_size;
  static constexpr auto weights_scratch_size = winograd::weights_scratch_size;
  static void forward(auto... all) { winograd::forward(all...); }
  static void backward_data(auto... all) { winograd::backward_data(all...); }
  static void backward_weights(auto... all) { winograd::backward_weights(all...); }
};

template <class Direction> void add(const ConvProblem& problem, const Layout* layout, Implementations<Direction>& offered) {
  add_own<Winograd>(problem, layout, offered.competing, offered);
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
