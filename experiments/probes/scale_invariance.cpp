#include "experiments/probes/scale_invariance.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/kernels/lanes.h"
#include "optim/projection.h"

namespace az::experiments {
namespace {

// Sums over products of a weight w, its gradient g and its step d.
struct Sums {
  double ww = 0, wg = 0, gg = 0, wd = 0, dd = 0;
  void operator+=(const Sums& other) { ww += other.ww, wg += other.wg, gg += other.gg, wd += other.wd, dd += other.dd; }
  // The cosine as the projection's rule has it.
  double cosine(double eps) const { return optim::clamped_cosine({.pg = wg, .gg = gg, .pp = ww}, eps); }
};

template <class T> AZ_INLINE Sums row_sums(int64_t n, const T* w, const T* g, const T* after) {
  const auto [ww, wg, gg, wd, dd] = sums_in_lanes<5>(
      n,
      [](auto* sums, const auto& x, const auto& y, const auto& moved) AZ_INLINED {
        const auto z = moved - x;
        sums[0] += x * x;
        sums[1] += x * y;
        sums[2] += y * y;
        sums[3] += x * z;
        sums[4] += z * z;
      },
      w, g, after);
  return {.ww = ww, .wg = wg, .gg = gg, .wd = wd, .dd = dd};
}
AZ_MULTIVERSION Sums row_sums_any(int64_t n, const float* w, const float* g, const float* after) {
  return row_sums(n, w, g, after);
}
AZ_MULTIVERSION Sums row_sums_any(int64_t n, const double* w, const double* g, const double* after) {
  return row_sums(n, w, g, after);
}

template <class T> std::vector<Sums> sums_by_row(const Tensor& w, const Tensor& g, const Tensor& after) {
  const int64_t rows = w.rank() > 1 ? w.size(0) : 1, length = rows ? w.numel() / rows : 0;
  std::vector<Sums> sums(static_cast<size_t>(rows));
  const T *pw = w.data<T>(), *pg = g.data<T>(), *pa = after.data<T>();
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, length)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * length;
      sums[size_t(row)] = row_sums_any(length, pw + at, pg + at, pa + at);
    }
  });
  return sums;
}

// A step d = w' - w of a weight w, whose gradient was g as the optimizer got it. Rows are output channels.
struct Seen {
  const optim::UpdateInfo& info;
  Sums all = {};
  double norm = 0, radial = 0, tangential = 0, angle = 0;
  double root, channel_root;                   // of the numbers in w, and in a row
  double largest_cosine = 0, mean_cosine = 0;  // |cos(w_i, g_i)| over the rows i
};

Seen seen_of(const std::vector<Sums>& rows, double count, const optim::UpdateInfo& info) {
  Seen seen{.info = info, .root = std::sqrt(count), .channel_root = std::sqrt(count / double(rows.size()))};
  for (const Sums& row : rows) {
    seen.all += row;
    const double cosine = row.cosine(info.eps);
    if (std::isnan(cosine) || cosine > seen.largest_cosine) seen.largest_cosine = cosine;  // once NaN, stays NaN
    seen.mean_cosine += cosine;
  }
  seen.mean_cosine /= double(rows.size());
  seen.norm = std::sqrt(seen.all.ww);
  seen.radial = seen.all.wd / seen.norm;
  const double rest = seen.all.dd - seen.radial * seen.radial;
  seen.tangential = rest < 0 ? 0 : std::sqrt(rest);  // NaN stays NaN
  // tan(angle) = tangential / (norm + radial), as w' = (norm + radial) w/||w|| + the tangential part.
  seen.angle = seen.norm > 0 ? std::atan2(seen.tangential, seen.norm + seen.radial) : NAN;
  return seen;
}

struct Column {
  Quantity quantity;
  MetricValue (*value)(const Seen& seen);
};

// All that is measured, in the order of the fields of a line.
const std::vector<Column>& all_columns() {
  static const std::string cosine = "|cos(w, g)| √dim";
  static const std::vector<Column> columns = {
      // ||w||
      {{.key = "norm",
        .title = "Norm of the weights",
        .unit = "‖w‖",
        .caption =
            "A weight under batch norm computes the same at any length, yet every step that is orthogonal to it makes it "
            "longer, momentum's most of all.",
        .scale = "log"},
       [](const Seen& s) -> MetricValue { return s.norm; }},
      // ||g||
      {{.key = "gradient_norm", .unit = "‖g‖", .scale = "log", .drawn = false},
       [](const Seen& s) -> MetricValue { return std::sqrt(s.all.gg); }},
      // |cos(w, g)| sqrt(n), n the count of numbers in w, as SGDP and AdamP hold it against delta: ||w|| and ||g|| count for
      // their eps at least, or for 1e-8 with other optimizers.
      {{.key = "scaled_cosine",
        .title = "The same for layers as a whole",
        .unit = cosine,
        .caption = "The second view of the projection's rule, tried where some channel fails the first; pale: steps that were "
                   "projected on this view. A random gradient falls below delta by chance in 8 steps of 100.",
        .scale = "log",
        .name = "cosine",
        .geometric_mean = true},
       [](const Seen& s) -> MetricValue { return s.all.cosine(s.info.eps) * s.root; }},
      // The same cosine of each row, n being the length of a row.
      {{.key = "scaled_channel_cosine_max",
        .title = "Is the gradient orthogonal to the weight?",
        .unit = "largest " + cosine,
        .caption =
            "The largest cosine of a channel with its gradient, times the root of its size (the mean over layers is a "
            "geometric one): SGDP and AdamP take a weight for scale-invariant, and project its step, in the shaded region, "
            "unless it has one dimension only, as biases and gains have; pale: steps that were projected by channel.",
        .scale = "log",
        .name = "cosine",
        .geometric_mean = true},
       [](const Seen& s) -> MetricValue { return s.largest_cosine * s.channel_root; }},
      {{.key = "scaled_channel_cosine_mean", .unit = "mean " + cosine, .scale = "log", .drawn = false},
       [](const Seen& s) -> MetricValue { return s.mean_cosine * s.channel_root; }},
      // What turns the weight's direction, rate / ||w||^norm_power: lr / ||w||^2 with SGD and SGDP, lr / ||w|| with Adam, AdamW
      // and AdamP, lr trust_ratio under a trust ratio (UpdateInfo::effective), lr being the parameter's own. It is the
      // optimizer that says so; null, both, where it says nothing. That the gradient was clipped counts for nothing.
      {{.key = "effective_lr", .scale = "log", .drawn = false},
       [](const Seen& s) -> MetricValue {
         const optim::EffectiveRate& effective = s.info.effective;
         return s.norm > 0 ? effective.rate / std::pow(s.all.ww, effective.norm_power / 2) : NAN;
       }},
      {{.key = "norm_power", .drawn = false}, [](const Seen& s) -> MetricValue { return s.info.effective.norm_power; }},
      // || w'/||w'|| - w/||w|| ||
      {{.key = "effective_step",
        .title = "Effective step",
        .unit = "‖ŵ′ − ŵ‖",
        .caption =
            "How far one step moves the direction of the weight, which is all that a scale-invariant network sees: it falls "
            "as the norm grows.",
        .scale = "log"},
       [](const Seen& s) -> MetricValue { return 2 * std::sin(s.angle / 2); }},
      // The radians from w to w'.
      {{.key = "angle",
        .title = "Angle of a step, and its equilibrium",
        .unit = "radians",
        .caption =
            "Thin: the angle that each step turns the weight by; pale: the one at which growth by steps and shrinking by "
            "weight decay would balance, where theory knows it.",
        .scale = "log",
        .beside = "equilibrium_angle",
        .name = "measured"},
       [](const Seen& s) -> MetricValue { return s.angle; }},
      // What the angle settles at (UpdateInfo) by the optimizer's steps alone, that is without lookahead; null where that is
      // not known.
      {{.key = "equilibrium_angle", .unit = "radians", .scale = "log", .name = "equilibrium", .drawn = false},
       [](const Seen& s) -> MetricValue { return s.info.equilibrium_angle; }},
      // <d, w>/||w||
      {{.key = "radial", .unit = "length", .scale = "log", .drawn = false, .magnitude = true},
       [](const Seen& s) -> MetricValue { return s.radial; }},
      // The norm of the rest of d.
      {{.key = "tangential",
        .title = "Radial against tangential",
        .unit = "length",
        .caption =
            "Thin: the part of a step across the weight, which turns it; pale: the part along the weight, which only changes "
            "its length.",
        .scale = "log",
        .beside = "radial"},
       [](const Seen& s) -> MetricValue { return s.tangential; }},
      // The view that the projection fired in.
      {{.key = "projected", .drawn = false, .words = {"none", "channel", "layer"}},
       [](const Seen& s) -> MetricValue { return std::string(optim::name_of(s.info.view)); }}};
  return columns;
}

}  // namespace

std::vector<Quantity> ScaleInvariance::quantities() {
  std::vector<Quantity> all;
  for (const Column& column : all_columns()) {
    all.push_back(column.quantity);
    all.back().per = "parameter";
  }
  return all;
}

ScaleInvariance::ScaleInvariance(const ScaleInvarianceOptions& options, const std::vector<Parameter>& parameters)
    : Probe(options.every) {
  bool moved = false;
  for (const Parameter& parameter : parameters) {
    const bool wanted =
        options.parameters ? fnmatch(options.parameters->c_str(), parameter.name.c_str(), 0) == 0 : parameter.tensor.rank() > 1;
    if (!wanted) continue;
    watched_.insert(parameter.name);
    moved = moved || parameter.tensor.requires_grad();
  }
  if (watched_.empty() && options.parameters) {
    throw ConfigError(fmt::format("parameters: none of the {} parameters fits \"{}\"; `azimuth check` lists the layers",
                                  parameters.size(), *options.parameters));
  }
  if (!watched_.empty() && !moved) {
    const std::string which =
        options.parameters ? fmt::format("that fit \"{}\"", *options.parameters) : "of more than one dimension";
    throw ConfigError(fmt::format("parameters: all {} are frozen, and no step moves them", which));
  }
}

void ScaleInvariance::before(const Parameter& parameter, const Tensor&) {
  if (watched_.count(parameter.name)) weight_ = parameter.tensor.detach().clone();
}

void ScaleInvariance::after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) {
  if (!watched_.count(parameter.name)) return;
  const auto rows = parameter.tensor.dtype() == DType::f64 ? sums_by_row<double>(weight_, gradient, parameter.tensor)
                                                           : sums_by_row<float>(weight_, gradient, parameter.tensor);
  const Seen seen = seen_of(rows, double(parameter.tensor.numel()), info);
  MetricFields& line = lines_.emplace_back(MetricFields{{"parameter", parameter.name}});
  for (const Column& column : all_columns()) line.emplace_back(column.quantity.key, column.value(seen));
}

void ScaleInvariance::report(const Write& write) {
  for (const MetricFields& line : lines_) write(line);
  lines_.clear();
}

void register_scale_invariance() {
  ProbeRegistry::add<ScaleInvarianceOptions>(
      "scale_invariance", "what each step does to the direction and the length of weights",
      [](const ScaleInvarianceOptions& options, const std::vector<Parameter>& parameters) -> std::unique_ptr<Probe> {
        return std::make_unique<ScaleInvariance>(options, parameters);
      });
}

}  // namespace az::experiments
