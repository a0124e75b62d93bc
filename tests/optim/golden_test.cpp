#include "core/safetensors.h"
#include "optim/adam.h"
#include "optim/muon.h"
#include "optim/schedule.h"
#include "optim/sgd.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;

namespace {

const std::map<std::string, Tensor>& golden() {
  static const SafeTensors file = read_safetensors("tests/golden/optim.safetensors");
  return file.tensors;
}

template <class T, class Made, class Options> void follow(const std::string& name, const Options& options, double tolerance) {
  INFO(name);
  std::vector<Parameter> parameters;
  for (const char* parameter : {"conv", "bias"}) {
    const Tensor& start = golden().at(std::string("start/") + parameter);
    parameters.push_back({parameter, model::tensor<T>(start.shape(), start.to_vector<double>()).set_requires_grad()});
  }
  Made optimizer(parameters, options);
  for (int64_t step = 0; step < 10; ++step) {
    for (const Parameter& parameter : parameters) {
      const int64_t count = parameter.tensor.numel();
      const double* from = golden().at("gradients/" + parameter.name).template data<double>() + step * count;
      parameter.tensor.set_grad(model::tensor<T>(parameter.tensor.shape(), model::Vector(from, from + count)));
    }
    optimizer.step();
  }
  for (const Parameter& parameter : parameters) {
    const Tensor& expected = golden().at(name + "/" + parameter.name);
    CHECK(model::distance(parameter.tensor.template to_vector<double>(), expected.to_vector<double>()) < tolerance);
  }
}

template <class Made, class Options> void follow(const std::string& name, const Options& options) {
  follow<double, Made>(name, options, 1e-12);
  follow<float, Made>(name, options, 1e-6);
}

}  // namespace

TEST_CASE("Ten steps on given gradients end where PyTorch's do") {
  follow<Sgd>("sgd", SgdOptions{.lr = 0.1});
  follow<Sgd>("sgd_momentum", SgdOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.01});
  follow<Sgd>("sgd_nesterov", SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01});
  follow<Adam>("adam", AdamOptions{.lr = 0.01, .betas = {0.8, 0.95}, .eps = 1e-3, .weight_decay = 0.1});
  follow<Adam>("adam_defaults", AdamOptions{});
  follow<AdamW>("adamw", AdamWOptions{.lr = 0.01, .betas = {0.8, 0.95}, .eps = 1e-3, .weight_decay = 0.1});
  follow<AdamW>("adamw_defaults", AdamWOptions{});
}

TEST_CASE("Muon, with the bias by SGD, ends where the singular values say by PyTorch's decomposition") {
  const auto rest = [](const SgdOptions& sgd) { return std::vector<GroupOptions>{{.dims = 1, .optimizer = sgd}}; };
  follow<Muon>("muon", MuonOptions{.lr = 0.02, .weight_decay = 0.5, .groups = rest({.lr = 0.1, .momentum = 0.9})});
  follow<Muon>("muon_airbench",
               MuonOptions{.lr = 0.24,
                           .momentum = 0.6,
                           .ns_steps = 3,
                           .normalize = true,
                           .groups = rest({.lr = 0.5, .momentum = 0.85, .nesterov = true, .weight_decay = 0.01})});
  follow<Muon>("muon_plain", MuonOptions{.lr = 0.1, .momentum = 0.5, .nesterov = false, .groups = rest({.lr = 0.1})});
}

namespace {

template <class Options> void follow_schedule(const std::string& name, const Options& options) {
  INFO(name);
  const std::vector<double> expected = golden().at("schedule/" + name).to_vector<double>();
  for (size_t step = 0; step < expected.size(); ++step) {
    CAPTURE(step);
    const double factor =
        lr_factor(options, {.step = int64_t(step), .total_steps = int64_t(expected.size()), .steps_per_epoch = 6});
    CHECK(std::abs(factor - expected[step]) < 1e-12);
  }
}

}  // namespace

TEST_CASE("Schedules follow PyTorch's, step by step") {
  follow_schedule("step", StepSchedule{.every_epochs = 3, .gamma = 0.2});
  follow_schedule("multistep", MultistepSchedule{.milestones = {2, 7.5}, .gamma = 0.1});
  follow_schedule("cosine", CosineSchedule{.min_factor = 0.05});
  follow_schedule("polynomial", PolynomialSchedule{.power = 1.5});
  follow_schedule("exponential", ExponentialSchedule{.gamma = 0.9});
  follow_schedule("one_cycle", OneCycleSchedule{});
  follow_schedule("one_cycle_linear",
                  OneCycleSchedule{.pct_start = 0.41, .anneal = "linear", .div_factor = 10, .final_div_factor = 100});
  follow_schedule("warmup_cosine", CosineSchedule{.warmup_epochs = 1.5});
  follow_schedule("warmup_cosine", CosineSchedule{.warmup_epochs = 1, .warmup_steps = 3});
}
