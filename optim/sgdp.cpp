#include "optim/sgdp.h"

#include "optim/projection.h"

namespace az::optim {
namespace {

struct Coefficients {
  double lr, decay, momentum, take;  // decay is lr * weight_decay / (1 - momentum)
  bool nesterov, project_momentum;
};

template <class T>
[[gnu::always_inline]] inline RowSums direct(const Coefficients& c, int64_t n, const T* p, const T* g, T* buf) {
  const T momentum = T(c.momentum), take = T(c.take);
  return row_sums(
      n, p, g, [&](int64_t i) __attribute__((always_inline)) {
        buf[i] = momentum * buf[i] + take * g[i];
        return c.nesterov ? g[i] + momentum * buf[i] : buf[i];
      });
}

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, int64_t n, T* p, const T* g, T* buf,
                                                           double removed, double ratio) {
  const T lr = T(c.lr), decay = T(c.decay * ratio), momentum = T(c.momentum), remove = T(removed);
  const bool store = c.project_momentum && !c.nesterov && removed != 0;
  for (int64_t i = 0; i < n; ++i) {
    const T d = (c.nesterov ? g[i] + momentum * buf[i] : buf[i]) - remove * p[i];
    if (store) buf[i] = d;
    p[i] -= lr * d + decay * p[i];
  }
}

AZ_MULTIVERSION RowSums direct_f32(const Coefficients& c, int64_t n, const float* p, const float* g, float* buf) {
  return direct(c, n, p, g, buf);
}
AZ_MULTIVERSION RowSums direct_f64(const Coefficients& c, int64_t n, const double* p, const double* g, double* buf) {
  return direct(c, n, p, g, buf);
}
AZ_MULTIVERSION void move_f32(const Coefficients& c, int64_t n, float* p, const float* g, float* buf, double removed,
                              double ratio) {
  move(c, n, p, g, buf, removed, ratio);
}
AZ_MULTIVERSION void move_f64(const Coefficients& c, int64_t n, double* p, const double* g, double* buf, double removed,
                              double ratio) {
  move(c, n, p, g, buf, removed, ratio);
}

template <class T, class DirectRow, class MoveRow> UpdateInfo run(const Coefficients& c, const ProjectionOptions& options,
                                                                  DirectRow direct_row, MoveRow move_row, const Tensor& weight,
                                                                  const Tensor& gradient, const Tensor& momentum) {
  T *p = weight.mutable_data<T>(), *buf = momentum.mutable_data<T>();
  const T* g = gradient.data<T>();
  return projected_update(
      weight.shape(), options, [&](int64_t at, int64_t n) { return direct_row(c, n, p + at, g + at, buf + at); },
      [&](int64_t at, int64_t n, double removed, double ratio) { move_row(c, n, p + at, g + at, buf + at, removed, ratio); });
}

}  // namespace

Sgdp::Sgdp(std::vector<Parameter> parameters, const SgdpOptions& options)
    : Optimizer("sgdp", std::move(parameters), options.lr, options.weight_decay, options.groups, {"momentum"}),
      options_(checked("sgdp", options)) {}

UpdateInfo Sgdp::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const Coefficients c{.lr = group.lr,
                       .decay = group.lr * group.weight_decay / (1 - options_.momentum),
                       .momentum = options_.momentum,
                       .take = 1 - options_.dampening,
                       .nesterov = options_.nesterov,
                       .project_momentum = options_.project_momentum};
  const ProjectionOptions projection{.delta = options_.delta, .wd_ratio = options_.wd_ratio, .eps = options_.eps};
  const Tensor& buffer = state.tensors[0];
  if (gradient.dtype() == DType::f32) return run<float>(c, projection, direct_f32, move_f32, parameter.tensor, gradient, buffer);
  return run<double>(c, projection, direct_f64, move_f64, parameter.tensor, gradient, buffer);
}

}  // namespace az::optim
