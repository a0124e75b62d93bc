#include "optim/adam.h"

#include "core/backend/threads.h"

namespace az::optim {
namespace {

struct Coefficients {
  double lr, coupled, decay, beta1, beta2, correction2, eps;  // lr is bias-corrected; decay is the raw lr * weight_decay
};

template <class T>
[[gnu::always_inline]] inline void move(const Coefficients& c, int64_t n, T* p, const T* gradient, T* m, T* v) {
  const T lr = T(c.lr), coupled = T(c.coupled), decay = T(c.decay), eps = T(c.eps), root = T(1 / std::sqrt(c.correction2));
  const T keep1 = T(c.beta1), take1 = T(1 - c.beta1), keep2 = T(c.beta2), take2 = T(1 - c.beta2);
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i] + coupled * p[i];
    m[i] = keep1 * m[i] + take1 * g;
    v[i] = keep2 * v[i] + take2 * g * g;
    p[i] -= lr * (m[i] / (std::sqrt(v[i]) * root + eps)) + decay * p[i];
  }
}

AZ_MULTIVERSION void move_f32(const Coefficients& c, int64_t n, float* p, const float* g, float* m, float* v) {
  move(c, n, p, g, m, v);
}
AZ_MULTIVERSION void move_f64(const Coefficients& c, int64_t n, double* p, const double* g, double* m, double* v) {
  move(c, n, p, g, m, v);
}

template <class T, class Move>
void run(const Coefficients& c, Move move_range, const Tensor& weight, const Tensor& gradient, const ParameterState& state) {
  T *p = weight.mutable_data<T>(), *m = state.tensors[0].mutable_data<T>(), *v = state.tensors[1].mutable_data<T>();
  const T* g = gradient.data<T>();
  parallel_for(weight.numel(), 16384,
               [&](int64_t begin, int64_t end) { move_range(c, end - begin, p + begin, g + begin, m + begin, v + begin); });
}

// Decay per step: coupled enters the gradient, decoupled shrinks the weight.
struct Decay {
  double coupled = 0, decoupled = 0;
};

template <class Options> UpdateInfo adam(const Options& options, double lr, Decay decay, const Tensor& weight,
                                         const Tensor& gradient, const ParameterState& state) {
  const double beta1 = options.betas[0], beta2 = options.betas[1], t = double(state.step);
  const Coefficients c{.lr = lr / (1 - std::pow(beta1, t)),
                       .coupled = decay.coupled,
                       .decay = decay.decoupled,
                       .beta1 = beta1,
                       .beta2 = beta2,
                       .correction2 = 1 - std::pow(beta2, t),
                       .eps = options.eps};
  if (gradient.dtype() == DType::f32)
    run<float>(c, move_f32, weight, gradient, state);
  else
    run<double>(c, move_f64, weight, gradient, state);
  return {};
}

}  // namespace

void check_betas(const std::vector<double>& betas) {
  if (betas.size() != 2) config::invalid("betas must be two numbers, such as [0.9, 0.999]");
}

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options)
    : Optimizer("adam", std::move(parameters), options.lr, options.weight_decay, options.groups, {"exp_avg", "exp_avg_sq"}),
      options_(checked("adam", options)) {}

UpdateInfo Adam::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, group.lr, {.coupled = group.weight_decay}, parameter.tensor, gradient, state);
}

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : Optimizer("adamw", std::move(parameters), options.lr, options.weight_decay, options.groups, {"exp_avg", "exp_avg_sq"}),
      options_(checked("adamw", options)) {}

UpdateInfo AdamW::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, group.lr, {.decoupled = group.lr * group.weight_decay}, parameter.tensor, gradient, state);
}

}  // namespace az::optim
