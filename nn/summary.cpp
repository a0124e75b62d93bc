#include "nn/summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/autograd/autograd.h"
#include "core/tensor/create.h"
#include "nn/enough_samples.h"

namespace az::nn {

namespace {

Tensor run_on_zeros(Module& module, const Shape& input, std::optional<DType> type) {
  Evaluating evaluating(module);
  NoGrad no_grad;
  auto parameters = module.parameters();
  return module(zeros(input, type.value_or(parameters.empty() ? DType::f32 : parameters.front().tensor.dtype())));
}

int64_t own_parameters(const Module& module) {
  int64_t count = 0;
  for (const Parameter& p : module.parameters()) {
    if (p.name.find('.') == std::string::npos) count += p.tensor.numel();
  }
  return count;
}

// What a module says of itself; what it throws is told of it.
template <class F> auto asked(const Module& module, const char* function, const F& answer) {
  return placed([&] { return module.path(); }, answer, [&] { return fmt::format("{}: {}", class_of(module), function); });
}

// Tells of `given` samples what `tried` of them led to.
class Recorder : public Observer {
 public:
  Recorder(int64_t tried, int64_t given) : tried_(tried), given_(given) {}
  void before(const Module& module, const Tensor&) override {
    if (!open_.empty()) rows[open_.back()].leaf = false;
    open_.push_back(rows.size());
    const std::string description = asked(module, "describe", [&] { return module.describe(); });
    rows.push_back({.path = module.path(), .description = description, .output = {}, .parameters = own_parameters(module)});
  }
  void after(const Module& module, const Tensor& input, const Tensor& output) override {
    Summary::Row& row = rows[open_.back()];
    open_.pop_back();
    row.output = for_samples(output.shape(), tried_, given_);
    const Shape taken = for_samples(input.shape(), tried_, given_);
    row.multiply_adds = asked(module, "multiply_adds", [&] { return module.multiply_adds(taken, row.output); });
  }
  std::vector<Summary::Row> rows;

 private:
  int64_t tried_, given_;
  std::vector<size_t> open_;
};

}  // namespace

Summary summarize(Module& module, const Shape& input, std::optional<DType> type) {
  Summary result{.rows = {}, .parameters = module.parameter_count()};
  with_enough_samples(module, input, [&](const Shape& tried) {
    Recorder recorder(tried.rank() > 0 ? tried[0] : 1, input.rank() > 0 ? input[0] : 1);
    Observe observe(recorder);
    run_on_zeros(module, tried, type);
    result.rows = std::move(recorder.rows);
  });
  for (const Summary::Row& row : result.rows) result.multiply_adds += row.multiply_adds;
  return result;
}

Shape output_shape(Module& module, const Shape& input, std::optional<DType> type) {
  Shape output;
  with_enough_samples(module, input, [&](const Shape& tried) {
    output = run_on_zeros(module, tried, type).shape();
    if (tried.rank() > 0) output = for_samples(output, tried[0], input[0]);
  });
  return output;
}

std::string Summary::table() const {
  size_t path = 5, description = 5, output = 6;
  for (const Row& row : rows) {
    path = std::max(path, row.path.size());
    description = std::max(description, row.description.size());
    output = std::max(output, row.output.str().size());
  }
  auto line = [&](auto a, auto b, auto c, auto d, auto e) {
    return fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>10}  {:>13}\n", a, path, b, description, c, output, d, e);
  };
  auto number = [](int64_t n) { return n ? std::to_string(n) : std::string(); };
  std::string text = line("path", "layer", "output", "parameters", "multiply-adds");
  for (const Row& row : rows) {
    text += line(row.path, row.description, row.output.str(), number(row.parameters), number(row.multiply_adds));
  }
  return text + line("total", "", "", std::to_string(parameters), std::to_string(multiply_adds));
}

}  // namespace az::nn
