#include "core/backend/subsample.h"

#include "core/backend/kernel_arguments.h"
#include "core/kernels/subsample.h"

namespace az {

void move_pixels(const Pixels& from, const Pixels& into, int64_t shift) {
  const auto grid = [](const Pixels& p) { return PixelGrid{image_shape(p.tensor.shape(), p.tensor.layout()), p.step}; };
  move_pixels(size_of(into.tensor.dtype()), from.tensor.raw(), grid(from), into.tensor.raw(), grid(into), shift);
}

}  // namespace az
