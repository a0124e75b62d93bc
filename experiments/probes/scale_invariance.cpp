#include "experiments/probes/scale_invariance.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/simd.h"
#include "core/base/threads.h"
#include "optim/projection.h"

namespace az::experiments {
namespace {

// Sums over products of a weight w, its gradient g and its step d.
struct Sums {
  double ww = 0, wg = 0, gg = 0, wd = 0, dd = 0;
  void operator+=(const Sums& other) { ww += other.ww, wg += other.wg, gg += other.gg, wd += other.wd, dd += other.dd; }
  // As the projection's rule has it.
  double cosine(double eps) const { return optim::clamped_cosine({.pg = wg, .gg = gg, .pp = ww}, eps); }
};

// In an order fixed by n, by lanes that fill a vector register.
template <class T> AZ_INLINE Sums row_sums(int64_t n, const T* w, const T* g, const T* after) {
  constexpr int lanes = 8;
  double ww[lanes] = {}, wg[lanes] = {}, gg[lanes] = {}, wd[lanes] = {}, dd[lanes] = {};
  const auto add = [&](int lane, int64_t i) AZ_INLINED {
    const double x = w[i], y = g[i], z = double(after[i]) - x;
    ww[lane] += x * x, wg[lane] += x * y, gg[lane] += y * y, wd[lane] += x * z, dd[lane] += z * z;
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) add(lane, i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) add(lane, i);
  Sums sums;
  for (int lane = 0; lane < lanes; ++lane)
    sums += {.ww = ww[lane], .wg = wg[lane], .gg = gg[lane], .wd = wd[lane], .dd = dd[lane]};
  return sums;
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

}  // namespace

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
  Sums all;
  double largest = 0, total = 0;
  for (const Sums& row : rows) {
    all += row;
    const double cosine = row.cosine(info.eps);
    if (std::isnan(cosine) || cosine > largest) largest = cosine;  // once NaN, stays NaN
    total += cosine;
  }
  const double norm = std::sqrt(all.ww), radial = all.wd / norm, count = double(parameter.tensor.numel());
  const double rest = all.dd - radial * radial, tangential = rest < 0 ? 0 : std::sqrt(rest);  // NaN stays NaN
  // tan(angle) = tangential / (norm + radial), as w' = (norm + radial) w/||w|| + the tangential part.
  const double angle = norm > 0 ? std::atan2(tangential, norm + radial) : NAN;
  const double channel = std::sqrt(count / double(rows.size()));
  lines_.push_back({{"parameter", parameter.name},
                    {"norm", norm},
                    {"gradient_norm", std::sqrt(all.gg)},
                    {"scaled_cosine", all.cosine(info.eps) * std::sqrt(count)},
                    {"scaled_channel_cosine_max", largest * channel},
                    {"scaled_channel_cosine_mean", total / double(rows.size()) * channel},
                    {"effective_lr", norm > 0 ? info.effective.rate / std::pow(all.ww, info.effective.norm_power / 2) : NAN},
                    {"norm_power", info.effective.norm_power},
                    {"effective_step", 2 * std::sin(angle / 2)},
                    {"angle", angle},
                    {"equilibrium_angle", info.equilibrium_angle},
                    {"radial", radial},
                    {"tangential", tangential},
                    {"projected", std::string(optim::name_of(info.view))}});
}

void ScaleInvariance::report(const Write& write) {
  for (const MetricFields& line : lines_) write(line);
  lines_.clear();
}

void register_builtin_probes() {
  static const bool once = [] {
    const config::BuiltIn built_in;
    ProbeRegistry::add<ScaleInvarianceOptions>(
        "scale_invariance", "what each step does to the direction and the length of weights",
        [](const ScaleInvarianceOptions& options, const std::vector<Parameter>& parameters) -> std::unique_ptr<Probe> {
          return std::make_unique<ScaleInvariance>(options, parameters);
        });
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace az::experiments
