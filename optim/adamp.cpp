#include "optim/adamp.h"

#include "optim/projection.h"

namespace az::optim {
namespace {

struct Coefficients {
  double lr, decay, beta1, beta2, correction2, eps;  // lr is bias-corrected; decay is the raw lr * weight_decay
  bool nesterov;
};

// d at element i, of the type of the weights.
template <class T> struct Direction {
  T keep1, take1, root, eps;
  bool nesterov;
  explicit Direction(const Coefficients& c)
      : keep1(T(c.beta1)), take1(T(1 - c.beta1)), root(T(1 / std::sqrt(c.correction2))), eps(T(c.eps)), nesterov(c.nesterov) {}
  [[gnu::always_inline]] T operator()(T g, T m, T v) const {
    return (nesterov ? keep1 * m + take1 * g : m) / (std::sqrt(v) * root + eps);
  }
};

template <class T>
[[gnu::always_inline]] inline RowSums direct(const Coefficients& c, int64_t n, const T* p, const T* g, T* m, T* v) {
  const Direction<T> direction(c);
  const T keep1 = T(c.beta1), take1 = T(1 - c.beta1), keep2 = T(c.beta2), take2 = T(1 - c.beta2);
  return row_sums(
      n, p, g, [&](int64_t i) __attribute__((always_inline)) {
        m[i] = keep1 * m[i] + take1 * g[i];
        v[i] = keep2 * v[i] + take2 * g[i] * g[i];
        return direction(g[i], m[i], v[i]);
      });
}

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, int64_t n, T* p, const T* g, const T* m,
                                                           const T* v, double removed, double ratio) {
  const Direction<T> direction(c);
  const T lr = T(c.lr), decay = T(c.decay * ratio), remove = T(removed);
  for (int64_t i = 0; i < n; ++i) p[i] -= lr * (direction(g[i], m[i], v[i]) - remove * p[i]) + decay * p[i];
}

AZ_MULTIVERSION RowSums direct_f32(const Coefficients& c, int64_t n, const float* p, const float* g, float* m, float* v) {
  return direct(c, n, p, g, m, v);
}
AZ_MULTIVERSION RowSums direct_f64(const Coefficients& c, int64_t n, const double* p, const double* g, double* m, double* v) {
  return direct(c, n, p, g, m, v);
}
AZ_MULTIVERSION void move_f32(const Coefficients& c, int64_t n, float* p, const float* g, float* m, float* v, double removed,
                              double ratio) {
  move(c, n, p, g, m, v, removed, ratio);
}
AZ_MULTIVERSION void move_f64(const Coefficients& c, int64_t n, double* p, const double* g, double* m, double* v, double removed,
                              double ratio) {
  move(c, n, p, g, m, v, removed, ratio);
}

template <class T, class DirectRow, class MoveRow> UpdateInfo run(const Coefficients& c, const ProjectionOptions& options,
                                                                  DirectRow direct_row, MoveRow move_row, const Tensor& weight,
                                                                  const Tensor& gradient, const ParameterState& state) {
  T *p = weight.mutable_data<T>(), *m = state.tensors[0].mutable_data<T>(), *v = state.tensors[1].mutable_data<T>();
  const T* g = gradient.data<T>();
  return projected_update(
      weight.shape(), options, [&](int64_t i, int64_t n) { return direct_row(c, n, p + i, g + i, m + i, v + i); },
      [&](int64_t i, int64_t n, double removed, double ratio) { move_row(c, n, p + i, g + i, m + i, v + i, removed, ratio); });
}

}  // namespace

Adamp::Adamp(std::vector<Parameter> parameters, const AdampOptions& options)
    : Optimizer("adamp", std::move(parameters), options.lr, options.weight_decay, options.groups, {"exp_avg", "exp_avg_sq"}),
      options_(checked("adamp", options)) {}

UpdateInfo Adamp::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const double beta1 = options_.betas[0], beta2 = options_.betas[1], t = double(state.step);
  const Coefficients c{.lr = group.lr / (1 - std::pow(beta1, t)),
                       .decay = group.lr * group.weight_decay,
                       .beta1 = beta1,
                       .beta2 = beta2,
                       .correction2 = 1 - std::pow(beta2, t),
                       .eps = options_.eps,
                       .nesterov = options_.nesterov};
  const ProjectionOptions projection{.delta = options_.delta, .wd_ratio = options_.wd_ratio, .eps = options_.eps};
  if (gradient.dtype() == DType::f32) return run<float>(c, projection, direct_f32, move_f32, parameter.tensor, gradient, state);
  return run<double>(c, projection, direct_f64, move_f64, parameter.tensor, gradient, state);
}

}  // namespace az::optim
