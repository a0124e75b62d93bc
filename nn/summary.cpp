#include "nn/summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/autograd/autograd.h"
#include "core/tensor/create.h"

namespace az::nn {

namespace {

Tensor run_on_zeros(Module& module, const Shape& input, std::optional<DType> type = {}) {
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

class Recorder : public Observer {
 public:
  void before(const Module& module, const Tensor&) override {
    if (!open_.empty()) rows[open_.back()].leaf = false;
    open_.push_back(rows.size());
    const std::string description = asked(module, "describe", [&] { return module.describe(); });
    rows.push_back({.path = module.path(), .description = description, .output = {}, .parameters = own_parameters(module)});
  }
  void after(const Module& module, const Tensor& input, const Tensor& output) override {
    Summary::Row& row = rows[open_.back()];
    open_.pop_back();
    row.output = output.shape();
    row.multiply_adds = asked(module, "multiply_adds", [&] { return module.multiply_adds(input.shape(), output.shape()); });
  }
  std::vector<Summary::Row> rows;

 private:
  std::vector<size_t> open_;
};

}  // namespace

Summary summarize(Module& module, const Shape& input, std::optional<DType> type) {
  Recorder recorder;
  {
    Observe observe(recorder);
    run_on_zeros(module, input, type);
  }
  Summary result{.rows = std::move(recorder.rows), .parameters = module.parameter_count()};
  for (const Summary::Row& row : result.rows) result.multiply_adds += row.multiply_adds;
  return result;
}

Shape output_shape(Module& module, const Shape& input) { return run_on_zeros(module, input).shape(); }

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
