#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/kernels/lanes.h"
#include "experiments/probes/probe.h"

namespace az::experiments {
namespace {

struct ActivationsOptions {
  int64_t every = 50;
  std::optional<std::string> modules = {};

  static void fields(auto& f) {
    f("every", &ActivationsOptions::every, "steps from one that it watches to the next; the first is always watched",
      config::at_least(1));
    f("modules", &ActivationsOptions::modules, "which to watch, by path, with * and ?; null: all");
  }
};

// Sums over numbers x: how many there are, how many are 0, their sum and that of their squares.
struct Sums {
  double count = 0, zeros = 0, sum = 0, squares = 0;
  void operator+=(const Sums& other) { count += other.count, zeros += other.zeros, sum += other.sum, squares += other.squares; }
  double rms() const { return std::sqrt(squares / count); }  // NaN of none
};

template <class T> AZ_INLINE Sums sums_of_part(int64_t n, const T* x) {
  const auto [zeros, sum, squares] = sums_in_lanes<3>(
      n,
      [](auto* sums, const auto& value) AZ_INLINED {
        using Number = std::remove_cvref_t<decltype(value)>;
        sums[0] += value == 0 ? Number{} + 1 : Number{};
        sums[1] += value;
        sums[2] += value * value;
      },
      x);
  return {.count = double(n), .zeros = zeros, .sum = sum, .squares = squares};
}
AZ_MULTIVERSION Sums sums_of_any(int64_t n, const float* x) { return sums_of_part(n, x); }
AZ_MULTIVERSION Sums sums_of_any(int64_t n, const double* x) { return sums_of_part(n, x); }

// Sums in parts that do not depend on the number of threads. bf16 is widened first.
Sums sums_of(const Tensor& given) {
  if (given.dtype() == DType::bf16) return sums_of(given.to(DType::f32));
  constexpr int64_t part = 1 << 15;
  const int64_t n = given.numel();
  std::vector<Sums> parts(size_t((n + part - 1) / part));
  visit_float(given.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bf16>) {
      const T* x = given.data<T>();
      parallel_for(int64_t(parts.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) parts[size_t(i)] = sums_of_any(std::min(part, n - i * part), x + i * part);
      });
    }
  });
  Sums all;
  for (const Sums& one : parts) all += one;
  return all;
}

// What comes out of each module, and the gradient of that, over all images of a step: a line a module.
class Activations : public Probe {
 public:
  explicit Activations(const ActivationsOptions& options) : Probe(options.every), modules_(options.modules) {}

  std::vector<Quantity> columns() const override {
    return {
        {.key = "zeros",
         .title = "Outputs that are zero",
         .unit = "share",
         .caption = "The share of zeros in what a module gives: behind a ReLU, of units that are off. What is off for every "
                    "image learns nothing more.",
         .per = "module",
         .share = true},
        {.key = "mean",
         .title = "Mean of outputs",
         .unit = "mean",
         .caption = "The mean of all numbers that a module gives.",
         .per = "module"},
        {.key = "rms",
         .title = "Size of outputs",
         .unit = "root mean square",
         .caption = "How large the numbers are that a module gives: of layers of one kind it should be much the same at any "
                    "depth.",
         .scale = "log",
         .per = "module"},
        {.key = "gradient_rms",
         .title = "Size of the gradients of outputs",
         .unit = "root mean square",
         .caption = "How large the loss's gradient is in what a module gives: where it falls from layer to layer, from the "
                    "last to the first, it vanishes, where it rises, it explodes.",
         .scale = "log",
         .per = "module"}};
  }

  bool watches(const nn::Module& module) const override {
    return !modules_ || fnmatch(modules_->c_str(), module.path().c_str(), 0) == 0;
  }
  void module(const nn::Module& module, const Tensor&, const Tensor& output) override {
    const auto [at, is_new] = seen_.try_emplace(module.path());
    if (is_new) order_.push_back(module.path());
    at->second.output += sums_of(output);
  }
  void gradient(const nn::Module& module, const Tensor& gradient) override {
    seen_.at(module.path()).gradient += sums_of(gradient);
  }
  void report(const Write& write) override {
    for (const std::string& path : order_) {
      const auto& [output, gradient] = seen_.at(path);
      write({{"module", path},
             {"zeros", output.zeros / output.count},
             {"mean", output.sum / output.count},
             {"rms", output.rms()},
             {"gradient_rms", gradient.rms()}});
    }
    seen_.clear();
    order_.clear();
  }

 private:
  struct Seen {
    Sums output, gradient;
  };
  std::optional<std::string> modules_;
  std::map<std::string, Seen> seen_;
  std::vector<std::string> order_;  // in which they ran
};

}  // namespace

void register_activations() {
  ProbeRegistry::add<ActivationsOptions>(
      "activations", "what comes out of each module, and how large its gradient is",
      [](const ActivationsOptions& options, const std::vector<Parameter>&) { return std::make_unique<Activations>(options); });
}

}  // namespace az::experiments
