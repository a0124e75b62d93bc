#include "optim/projection.h"

#include <algorithm>

namespace az::optim {
namespace {

// Rows to hand to one thread at least, so that a hand-over is worth its while.
int64_t rows_at_once(int64_t length) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, length)); }

Removal removal(const RowSums& sums, double eps, double decay_ratio) {
  const long double per_norm = 1 / (std::sqrt(sums.pp) + eps);
  return {.dot = double(sums.pd * per_norm), .per_norm = double(per_norm), .decay_ratio = decay_ratio};
}

View view_to_project(const ProjectionOptions& options, const UpdateInfo& info, int64_t length, int64_t count) {
  if (options.when == "channel") return length > 1 ? View::channel : View::none;
  if (options.when == "layer") return View::layer;
  if (options.when == "never") return View::none;
  if (info.channel_cosine < options.delta / std::sqrt(double(length))) return View::channel;
  return info.layer_cosine < options.delta / std::sqrt(double(count)) ? View::layer : View::none;
}

}  // namespace

double clamped_cosine(const RowSums& sums, double eps) {
  const auto clamped = [eps](long double square) { return std::max(std::sqrt(square), static_cast<long double>(eps)); };
  return double(std::abs(sums.pg) / clamped(sums.gg) / clamped(sums.pp));
}

NormRule projected_norm_rule(const std::string& name, const std::string& when) {
  if (when == "never") return {{}, "no prediction, as projection is \"never\""};
  // With "rule", a step is not projected once the gradient is no longer orthogonal to the weight.
  return {0, name + ": a projected step is orthogonal to the weight and adds its squared length", when == "rule"};
}

UpdateInfo projected_update(const Shape& shape, const ProjectionOptions& options, const Direct& direct, const Move& move) {
  const bool projectable = shape.rank() > 1;
  const int64_t count = shape.numel();
  if (count == 0) return {};
  const int64_t rows = projectable ? shape[0] : 1, length = count / rows;

  std::vector<RowSums> sums(static_cast<size_t>(rows));
  parallel_for(rows, rows_at_once(length), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) sums[size_t(row)] = direct(row * length, length);
  });

  UpdateInfo info;
  RowSums layer;
  if (projectable) {
    info.channel_cosine = 0;
    info.eps = options.eps;
    for (const RowSums& row : sums) {
      const double c = clamped_cosine(row, options.eps);
      if (std::isnan(c) || c > info.channel_cosine) info.channel_cosine = c;  // once NaN, stays NaN
      layer += row;
    }
    info.layer_cosine = clamped_cosine(layer, options.eps);
    info.view = view_to_project(options, info, length, count);
    if (info.view != View::none) info.decay_ratio = options.wd_ratio;
  }

  parallel_for(rows, rows_at_once(length), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const RowSums& view = info.view == View::layer ? layer : sums[size_t(row)];
      const Removal none{.dot = 0, .per_norm = 0, .decay_ratio = info.decay_ratio};
      move(row * length, length, info.view == View::none ? none : removal(view, options.eps, info.decay_ratio));
    }
  });
  return info;
}

}  // namespace az::optim
