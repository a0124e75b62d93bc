#pragma once

#include <functional>

#include "core/backend/threads.h"
#include "optim/optimizer.h"

// The projection of SGDP and AdamP (Heo et al., ICLR 2021, arXiv:2006.08217), as the authors' code has it.
namespace az::optim {

struct ProjectionOptions {
  double delta, wd_ratio, eps;
};

// Over one row: p the weight before decay, g the raw gradient, d the direction to move against.
struct RowSums {
  double pg = 0, gg = 0, pp = 0, pd = 0;
};

// Fills d in a row (and whatever state it takes) and sums over it; moves the row against d - removed * p.
using Direct = std::function<RowSums(int64_t begin, int64_t length)>;
using Move = std::function<void(int64_t begin, int64_t length, double removed, double decay_ratio)>;

// Calls `direct` on every row of the channel view, decides, then calls `move` on each:
//   for the channel view, then the layer view: if max_rows |cos(g, p)| < delta / sqrt(row length), that view fires:
//   removed = sum(p d) / (||p|| + eps)^2 per row and decay_ratio = wd_ratio. Otherwise removed = 0, decay_ratio = 1.
// - The cosine is of the raw gradient, never of the momentum; its denominator ||g|| ||p|| is at least eps.
// - A zero gradient has cosine 0, so it fires. Rows of one element have |cos| = 1, so the channel view never does.
// - A parameter of one dimension or none is never projected. NaN never fires.
UpdateInfo projected_update(const Shape& shape, const ProjectionOptions& options, const Direct& direct, const Move& move);

// The sums over `n` elements of p and g with d = direction(i): in double, in an order fixed by n alone.
template <class T, class F>
[[gnu::always_inline]] inline RowSums row_sums(int64_t n, const T* p, const T* g, const F& direction) {
  constexpr int lanes = 8;
  double pg[lanes] = {}, gg[lanes] = {}, pp[lanes] = {}, pd[lanes] = {};
  auto add = [&](int lane, int64_t i) __attribute__((always_inline)) {
    const double x = p[i], y = g[i], d = direction(i);
    pg[lane] += x * y;
    gg[lane] += y * y;
    pp[lane] += x * x;
    pd[lane] += x * d;
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) add(lane, i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) add(lane, i);
  RowSums sums;
  for (int lane = 0; lane < lanes; ++lane) {
    sums.pg += pg[lane];
    sums.gg += gg[lane];
    sums.pp += pp[lane];
    sums.pd += pd[lane];
  }
  return sums;
}

}  // namespace az::optim
