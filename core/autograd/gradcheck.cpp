#include "core/autograd/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/tensor/create.h"

namespace az {
namespace {

// Below this norm a gradient counts as zero up to the rounding of the differences.
constexpr double floor_norm = 1e-4;

// Makes the checked inputs require gradients, and puts everything back as it was.
class Prepared {
 public:
  explicit Prepared(const std::vector<Tensor>& inputs) : random_(random_state()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor& input = inputs[i];
      if (!input.defined() || !is_float(input.dtype())) continue;
      if (input.dtype() != DType::f64) fail("gradcheck: input {} is {}; differences need f64", i, describe(input));
      if (!input.is_leaf()) fail("gradcheck: input {} is the result of {}, not a leaf; detach() it", i, op_name(input));
      before_.push_back({input, input.detach().clone(), input.requires_grad()});
      input.set_requires_grad();
      checked.push_back(i);
    }
    if (checked.empty()) fail("gradcheck: no input is a floating tensor");
  }
  ~Prepared() {
    NoGrad no_grad;
    for (const auto& [input, values, required] : before_) input.copy_(values).set_requires_grad(required);
    set_random_state(random_);
  }
  Prepared(const Prepared&) = delete;

  Tensor call(const TensorFunction& function, const std::vector<Tensor>& inputs) const {
    set_random_state(random_);
    Tensor output = function(inputs);
    if (!output.defined() || output.dtype() != DType::f64)
      fail("gradcheck: the function returned {}, not f64", describe(output));
    return output.plain();
  }

  std::vector<size_t> checked;

 private:
  struct Before {
    Tensor input, values;
    bool required;
  };
  std::vector<Before> before_;
  RandomState random_;
};

std::vector<Tensor> pick(const std::vector<Tensor>& inputs, const std::vector<size_t>& which) {
  std::vector<Tensor> picked;
  for (size_t i : which) picked.push_back(inputs[i]);
  return picked;
}

std::vector<Tensor> gradients_of(const Tensor& output, const std::vector<Tensor>& inputs, const GradOptions& options) {
  if (!output.requires_grad()) return std::vector<Tensor>(inputs.size());
  return grad(output, inputs, options);
}

// Zeros for a gradient that is undefined.
std::vector<double> values_of(const Tensor& gradient, int64_t count) {
  return gradient.defined() ? gradient.to_vector<double>() : std::vector<double>(size_t(count));
}

Tensor random_weights(const Shape& shape) {
  Philox generator(0x9eadc4ec);
  return uniform(shape, {.low = -1, .high = 1}, generator, DType::f64);
}

double dot(const Tensor& a, const Tensor& b) {
  const double *x = a.data<double>(), *y = b.data<double>();
  double total = 0;
  for (int64_t i = 0; i < a.numel(); ++i) total += x[i] * y[i];
  return total;
}

// The elements of those that are defined, one after another, and a 0.
Tensor joined(const std::vector<Tensor>& parts) {
  std::vector<Tensor> inputs;
  std::vector<Shape> shapes;
  int64_t count = 1;
  for (const Tensor& part : parts) {
    if (!part.defined()) continue;
    inputs.push_back(part.plain());
    shapes.push_back(part.shape());
    count += part.numel();
  }
  const Tensor all = zeros({count}, DType::f64);
  auto* to = all.mutable_data<double>();
  for (const Tensor& input : inputs) to = std::copy_n(input.data<double>(), input.numel(), to);
  return record("joined", all, inputs, saved(), ByKernel{[shapes](const Back& k) {
                  const auto* from = k.g.data<double>();
                  Grads gradients;
                  for (const Shape& shape : shapes) {
                    gradients.push_back(Tensor::empty(shape, DType::f64));
                    std::copy_n(from, shape.numel(), gradients.back().mutable_data<double>());
                    from += shape.numel();
                  }
                  return gradients;
                }});
}

struct Comparison {
  double difference = 0, first = 0, second = 0;  // sums of squares
  double furthest = -1;
  int64_t element = 0;             // that is furthest off,
  double found = 0, expected = 0;  // and its values

  void add(int64_t at, double one, double other) {
    const double off = std::abs(one - other);
    difference += off * off;
    first += one * one;
    second += other * other;
    if (off > furthest || off != off) {
      furthest = off;
      element = at;
      found = one;
      expected = other;
    }
  }
  double error() const { return std::sqrt(difference) / std::max(std::sqrt(std::max(first, second)), floor_norm); }
};

}  // namespace

GradcheckResult gradcheck(const TensorFunction& function, const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  Prepared prepared(inputs);
  Tensor output = [&] {
    GradMode recording(true);
    return prepared.call(function, inputs);
  }();
  Tensor weights = random_weights(output.shape());
  GradcheckResult result;
  std::vector<Tensor> gradients;
  try {
    gradients = gradients_of(output, pick(inputs, prepared.checked), {.gradient = weights});
  } catch (const Error& error) {
    result.ok = false;
    result.message = error.what();
    return result;
  }
  output = {};

  NoGrad no_grad;
  for (size_t k = 0; k < prepared.checked.size(); ++k) {
    const Tensor& input = inputs[prepared.checked[k]];
    const int64_t count = input.numel();
    const int64_t tried = options.samples > 0 ? std::min(options.samples, count) : count;
    auto value_at = [&](int64_t at, double x) {
      input.mutable_data<double>()[at] = x;
      return dot(prepared.call(function, inputs), weights);
    };
    const std::vector<double> backward = values_of(gradients[k], count);
    Comparison comparison;
    for (int64_t sample = 0; sample < tried; ++sample) {
      const int64_t at = sample * count / tried;
      const double x = input.data<double>()[at], step = options.eps * std::max(1.0, std::abs(x));
      const double up = value_at(at, x + step), down = value_at(at, x - step);
      input.mutable_data<double>()[at] = x;
      comparison.add(at, backward[size_t(at)], (up - down) / ((x + step) - (x - step)));
    }
    const double error = comparison.error();
    if (result.worst >= error) continue;
    result.worst = error;
    result.input = prepared.checked[k];
    result.element = comparison.element;
    if (error <= options.tolerance) continue;
    result.ok = false;
    result.message = fmt::format(
        "the gradient of input {} ({}) is off by {:.3g} of its norm; at element {} backward gives {:.9g}, central differences "
        "{:.9g}",
        result.input, describe(input), error, comparison.element, comparison.found, comparison.expected);
  }
  return result;
}

GradcheckResult gradgradcheck(const TensorFunction& function, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options) {
  Prepared prepared(inputs);
  Tensor weights = [&] {
    NoGrad no_grad;
    return random_weights(prepared.call(function, inputs).shape());
  }();
  std::vector<Tensor> all = inputs;
  all.push_back(weights);
  std::string refusal;
  std::vector<Tensor> parts;
  auto gradients = [&](const std::vector<Tensor>& values, bool create_graph) {
    GradMode recording(true);
    Tensor output = function(std::vector<Tensor>(values.begin(), values.end() - 1));
    parts.clear();
    try {
      parts = gradients_of(output, pick(values, prepared.checked), {.gradient = values.back(), .create_graph = create_graph});
    } catch (const Error& error) {
      refusal = error.what();
    }
    return joined(parts);
  };
  auto parts_of = [&](bool create_graph) {
    prepared.call([&](const auto& values) { return gradients(values, create_graph); }, all);
    return std::exchange(parts, {});
  };
  // The two may come by different formulas, and the differences below hold only for the former.
  const std::vector<Tensor> recorded = parts_of(true), plain = parts_of(false);
  if (!refusal.empty()) return {.ok = false, .message = refusal};
  for (size_t k = 0; k < prepared.checked.size(); ++k) {
    const size_t at = prepared.checked[k];
    const std::vector<double> x = values_of(recorded[k], inputs[at].numel()), y = values_of(plain[k], inputs[at].numel());
    Comparison comparison;
    for (size_t i = 0; i < x.size(); ++i) comparison.add(int64_t(i), x[i], y[i]);
    const double error = comparison.error();
    if (error <= options.tolerance) continue;
    return {.ok = false,
            .worst = error,
            .input = at,
            .element = comparison.element,
            .message = fmt::format(
                "the gradient of input {} ({}) with create_graph is off by {:.3g} of its norm from that without; at "
                "element {} they are {:.9g} and {:.9g}",
                at, describe(inputs[at]), error, comparison.element, comparison.found, comparison.expected)};
  }
  return gradcheck([&](const auto& values) { return gradients(values, true); }, all, options);
}

}  // namespace az
