#include "experiments/views.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/error.h"
#include "core/ops/shape.h"

namespace az::experiments {
namespace {

// Says which of `size` pixels in a row lies at each place once they are moved, then mirrored.
Tensor places(int64_t size, int64_t shift, bool mirrored) {
  std::vector<int64_t> from;
  for (int64_t place = 0; place < size; ++place) {
    const int64_t i = std::abs((mirrored ? size - 1 - place : place) - shift);
    from.push_back(i < size ? i : 2 * (size - 1) - i);
  }
  return Tensor::of<int64_t>({size}, from);
}

}  // namespace

std::vector<View> views_of(const std::string& test_time_augmentation) {
  std::vector<View> views;
  const bool translated = test_time_augmentation == "flip_translate";
  if (test_time_augmentation == "none") return {{}};
  for (bool mirrored : {false, true}) {
    views.push_back({.mirrored = mirrored, .weight = translated ? 0.25 : 0.5});
    if (!translated) continue;
    for (int64_t shift : {-1, 1}) views.push_back({.shift = shift, .mirrored = mirrored, .weight = 0.125});
  }
  return views;
}

Tensor seen(const Tensor& images, const View& view) {
  if (std::min(images.size(2), images.size(3)) <= std::abs(view.shift))
    throw ConfigError(fmt::format(
        "train.evaluation.test_time_augmentation: flip_translate reflects images at their edge, which needs sides of "
        "{} pixels or more, got {}x{}; take flip or none",
        std::abs(view.shift) + 1, images.size(2), images.size(3)));
  Tensor result = images;
  if (view.shift != 0) result = index_select(result, places(images.size(2), view.shift, false), 2);
  if (view.shift != 0 || view.mirrored) result = index_select(result, places(images.size(3), view.shift, view.mirrored), 3);
  return result;
}

}  // namespace az::experiments
