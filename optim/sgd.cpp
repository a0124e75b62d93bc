#include "optim/sgd.h"

#include "core/backend/threads.h"

namespace az::optim {
namespace {

struct Coefficients {
  double lr, coupled, decay, keep, take, momentum;  // decay is lr * weight_decay
  bool nesterov;
};

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, int64_t n, T* p, const T* g, T* buf) {
  const T lr = T(c.lr), coupled = T(c.coupled), decay = T(c.decay);
  const T keep = T(c.keep), take = T(c.take), momentum = T(c.momentum);
  for (int64_t i = 0; i < n; ++i) {
    T d = g[i] + coupled * p[i];
    if (buf) {
      buf[i] = keep * buf[i] + take * d;
      d = c.nesterov ? d + momentum * buf[i] : buf[i];
    }
    p[i] -= lr * d + decay * p[i];
  }
}

AZ_MULTIVERSION void move_f32(const Coefficients& c, int64_t n, float* p, const float* g, float* buf) { move(c, n, p, g, buf); }
AZ_MULTIVERSION void move_f64(const Coefficients& c, int64_t n, double* p, const double* g, double* buf) {
  move(c, n, p, g, buf);
}

template <class T, class Move>
void run(const Coefficients& c, Move move, const Tensor& p, const Tensor& g, const ParameterState& state) {
  T* to = p.mutable_data<T>();
  const T* from = g.data<T>();
  T* buf = state.tensors.empty() ? nullptr : state.tensors[0].mutable_data<T>();
  parallel_for(p.numel(), 16384,
               [&](int64_t begin, int64_t end) { move(c, end - begin, to + begin, from + begin, buf ? buf + begin : nullptr); });
}

}  // namespace

Sgd::Sgd(std::vector<Parameter> parameters, const SgdOptions& options)
    : Optimizer("sgd", std::move(parameters), options.lr, options.weight_decay, options.groups,
                options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(checked("sgd", options)) {}

UpdateInfo Sgd::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const bool first = state.step == 1;
  const Coefficients c{.lr = group.lr,
                       .coupled = options_.decoupled ? 0 : group.weight_decay,
                       .decay = options_.decoupled ? group.lr * group.weight_decay : 0,
                       .keep = options_.momentum,
                       .take = first ? 1 : 1 - options_.dampening,
                       .momentum = options_.momentum,
                       .nesterov = options_.nesterov};
  if (gradient.dtype() == DType::f32)
    run<float>(c, move_f32, parameter.tensor, gradient, state);
  else
    run<double>(c, move_f64, parameter.tensor, gradient, state);
  return {};
}

}  // namespace az::optim
