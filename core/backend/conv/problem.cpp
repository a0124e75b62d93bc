#include "core/backend/conv/problem.h"

#include <fmt/core.h>

#include "core/base/threads.h"

namespace az {

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

bool ConvProblem::suits_winograd() const {
  const auto is_one = [](const Size2& size) { return size.h == 1 && size.w == 1; };
  const int64_t tiles = y[0] * ((y[2] + 3) / 4) * ((y[3] + 3) / 4);
  return type == DType::f32 && weight[2] == 3 && weight[3] == 3 && is_one(params.stride) && is_one(params.dilation) &&
         params.groups == 1 && weight[0] >= 32 && weight[1] >= 32 && tiles >= 32;
}

}  // namespace az
