#pragma once

#include <functional>

#include "optim/loops.h"
#include "optim/optimizer.h"

// The projection of SGDP and AdamP (Heo et al., ICLR 2021, arXiv:2006.08217), as the authors' code has it.
namespace az::optim {

struct ProjectionOptions {
  double delta, wd_ratio, eps;
  std::string when = "rule";
};

// "projection", an option of SGDP and AdamP.
constexpr const char* projection_help = "when to project: by the cosine rule, always by channel or by layer, or never";
inline auto projection_choices() { return config::one_of({"rule", "channel", "layer", "never"}); }

struct Removal {
  double along, per_norm;  // d - along * (per_norm * p) is what a row moves against: as two factors, which do not underflow
  double decay_ratio;
};

// |cos(g, p)| as the rule has it: each norm is at least eps, as in torch.nn.functional.cosine_similarity.
double clamped_cosine(const RowSums& sums, double eps);

// On one row, p being the weight before decay and g the raw gradient: Direct brings the state up to date and sums over p, g and
// the direction d; Move moves p.
using Direct = std::function<RowSums(int64_t begin, int64_t length)>;
using Move = std::function<void(int64_t begin, int64_t length, Removal removal)>;

// Calls `direct` on every row of the channel view, decides, then calls `move` on each:
//   for the channel view, then the layer view: if max_rows |cos(g, p)| < delta / sqrt(row length), that view fires:
//   per_norm = 1 / (||p|| + eps), along = per_norm sum(p d) by row and decay_ratio = wd_ratio. Otherwise along = 0, decay_ratio
//   = 1.
// With `when` other than "rule" that view fires whatever the cosines are, or none does. "channel" leaves rows of one element
// alone: they would stand still (a gain of weight_norm is a weight of such rows).
// - The cosine is of the raw gradient, never of the momentum; it is g / max(||g||, eps) times p / max(||p||, eps), which
//   the authors' code gets from PyTorch 1.13 and later. PyTorch of 2020 divided by max(||g|| ||p||, eps).
// - A zero gradient has cosine 0, so it fires. Rows of one element have |cos| = 1, so the channel view fires for them only where
//   every row's gradient or weight is 0 or well below eps.
// - A parameter of one dimension or none is never projected. NaN never fires.
UpdateInfo projected_update(const Shape& shape, const ProjectionOptions& options, const Direct& direct, const Move& move);

}  // namespace az::optim
