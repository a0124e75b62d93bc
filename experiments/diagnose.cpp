#include "experiments/diagnose.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/autograd.h"

namespace az::experiments {
namespace {

bool finite(const Tensor& tensor) {
  const Tensor values = tensor.detach().to(DType::f32).plain();
  const float* x = values.data<float>();
  return std::all_of(x, x + values.numel(), [](float v) { return std::isfinite(v); });
}

struct FiniteObserver : nn::Observer {
  std::string bad;

  // Modules inside are left before those around them, so the first one seen is the innermost.
  void after(const nn::Module& module, const Tensor&, const Tensor& output) override {
    if (bad.empty() && !finite(output)) bad = fmt::format("in the output of {} ({})", module.path(), module.describe());
  }
};

}  // namespace

std::string first_bad_parameter(const nn::Module& model) {
  for (const Parameter& p : model.parameters()) {
    if (!finite(p.tensor)) return "in " + p.name;
  }
  return "";
}

std::string first_bad_layer(nn::Module& model, const Tensor& images) {
  if (const std::string bad = first_bad_parameter(model); !bad.empty()) return bad;
  if (!finite(images)) return "in the images";
  FiniteObserver observer;
  NoGrad no_grad;
  nn::Observe observe(observer);
  model(images);
  return observer.bad.empty() ? "the loss itself" : observer.bad;
}

}  // namespace az::experiments
