#pragma once

#include <functional>

#include "optim/rule.h"

// The projection of SGDP and AdamP (Heo et al., ICLR 2021, arXiv:2006.08217), as the authors' code has it.
namespace az::optim {

struct ProjectionOptions {
  double delta, wd_ratio, eps;
  std::string when = "rule";
  const Tensor* stored = nullptr;  // the state that d itself is, where that is projected, too
};

// "projection", an option of SGDP and AdamP.
constexpr const char* projection_help = "when to project: by the cosine rule, always by channel or by layer, or never";
inline auto projection_choices() { return config::one_of({"rule", "channel", "layer", "never"}); }

// Lists the options of an optimizer's projection that are set and have no effect, each as Optimizer::examine() says it.
template <class Options> std::vector<std::string> idle_projection_options(const Options& options) {
  std::vector<std::string> result;
  const auto add_if = [&](bool idle, const char* name) {
    if (idle) result.push_back(fmt::format("{}: means nothing, as projection is \"{}\"", name, options.projection));
  };
  add_if(options.projection != "rule" && options.delta != Options().delta, "delta");
  add_if(options.projection == "never" && options.wd_ratio != Options().wd_ratio, "wd_ratio");
  return result;
}

struct Removal {
  double dot, per_norm;  // d - dot * (per_norm * p) is what a row moves against: as two factors, which do not underflow
  double decay_ratio;
};

// |cos(g, p)| as the rule has it: each norm is at least eps, as in torch.nn.functional.cosine_similarity.
double clamped_cosine(const RowSums& sums, double eps);

// Returns the norm rule of an optimizer of that name. With "rule" as `when`, a step that is not projected breaks it.
NormRule projected_norm_rule(const std::string& name, const std::string& when);

// Both work on one row; p is the weight before decay and g the raw gradient. Direct brings the state up to date and returns
// sums over p, g and the direction d; Move moves p.
using Direct = std::function<RowSums(int64_t begin, int64_t length)>;
using Move = std::function<void(int64_t begin, int64_t length, Removal removal)>;

// Calls `direct` on every row of the channel view, decides, then calls `move` on each:
//   for the channel view, then the layer view: if max_rows |cos(g, p)| < delta / sqrt(row length), that view fires:
//   per_norm = 1 / (||p|| + eps), dot = per_norm sum(p d) by row and decay_ratio = wd_ratio. Otherwise dot = 0
//   and decay_ratio = 1.
// With "channel" or "layer" as `when`, that view fires whatever the cosines are; with "never", none does. "channel" leaves rows
// of one element alone: they would stand still (a gain of weight_norm is a weight of such rows).
// - The cosine is of the raw gradient, never of the momentum; it is g / max(||g||, eps) times p / max(||p||, eps), which
//   the authors' code gets from PyTorch 1.13 and later. PyTorch of 2020 divided by max(||g|| ||p||, eps).
// - A zero gradient has cosine 0, so it fires. Rows of one element have |cos| = 1, so the channel view fires for them only
//   where every row's gradient or weight is 0 or well below eps.
// - A parameter of one dimension or none is never projected. NaN never fires.
UpdateInfo projected_update(const Shape& shape, const ProjectionOptions& options, const Direct& direct, const Move& move);

template <class T>
AZ_MULTIVERSION [[gnu::flatten]] RowSums direct_row(auto rule, int64_t n, const T* w, const T* g, auto*... state) {
  constexpr int64_t block = 512;
  T d[block];
  RowSums sums;
  while (n > 0) {
    const int64_t length = std::min(block, n);
    for (int64_t i = 0; i < length; ++i) {
      rule.remember(g[i], state[i]...);
      d[i] = rule.direction(g[i], state[i]...);
    }
    sums += row_sums(length, w, g, d);
    n -= length, w += length, g += length, ((state += length), ...);
  }
  return sums;
}

template <class T> AZ_MULTIVERSION [[gnu::flatten]] void move_row(auto rule, Removal row, T stay, int64_t n, T* w, const T* g,
                                                                  T* stored, auto*... state) {
  const T per_norm = T(row.per_norm);
  T dot = T(row.dot);
  if (stored && dot != 0) {
    for (int64_t i = 0; i < n; ++i) stored[i] -= dot * (per_norm * w[i]);
    dot = 0;
  }
  for (int64_t i = 0; i < n; ++i)
    w[i] = stay * w[i] - rule.step(w[i], rule.direction(g[i], state[i]...), dot, per_norm * w[i], row.decay_ratio);
}

// projected_update() by a rule in three parts, of one element each. remember(g, s...) brings the state, which it gets as T&, up
// to date; direction(g, s...) is d; step(w, d, dot, w_hat, ratio) is the step against d - dot w_hat, decay included, where
// w_hat = w / (||w|| + eps), dot = d . w_hat over the row, or 0 where nothing is to be removed, and ratio is the decay_ratio.
UpdateInfo update_rows(const auto& rule, const ProjectionOptions& options, const Group& group, const Tensor& weight,
                       const Tensor& gradient, const auto&... state) {
  UpdateInfo info = with_type(gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *w = weight.mutable_data<T>(), *stored = options.stored ? options.stored->mutable_data<T>() : nullptr;
    const auto run = [&, g = gradient.data<T>()](auto*... s) {
      const auto direct = [&](int64_t at, int64_t n) { return direct_row(rule, n, w + at, g + at, s + at...); };
      const auto move = [&](int64_t at, int64_t n, Removal removal) {
        move_row(rule, removal, T(!group.step_only), n, w + at, g + at, stored ? stored + at : nullptr, s + at...);
      };
      return projected_update(gradient.shape(), options, direct, move);
    };
    return run(state.template mutable_data<T>()...);
  });
  info.step_only = group.step_only;
  return info;
}

}  // namespace az::optim
