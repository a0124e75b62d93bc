#include "core/backend/info.h"
#include "core/backend/reorder.h"
#include "tests/core/ulps.h"

using namespace az;
using namespace az::test;

// Batch norm, of channels that are large, small or far from 0. Its kernels work in f32 on differences from a centre, so errors
// are counted at the largest term of a sum: of y, that is the deviation times gamma; of dx, g times what multiplies it.
namespace {

struct Channels {
  const char* name;
  Real mean, deviation;
  double eps = 1e-5;
};

enum class Statistics { batch, running };

template <class T> void sweep(const Channels& drawn, const Shape& shape, int64_t block, bool relu, Statistics statistics) {
  using P = std::conditional_t<std::is_same_v<T, double>, double, float>;  // the type of parameters
  const int64_t images = shape[0], channels = shape[1], plane = shape[2] * shape[3], all = shape.numel();
  Philox random(5);
  Reals x, g;
  for (int64_t i = 0; i < all; ++i) {
    x.push_back(rounded<T>(drawn.mean + drawn.deviation * Real(random.normal())));
    g.push_back(rounded<T>(Real(random.normal())));
  }
  const Real gamma = 1.25, beta = relu ? 0.25 : 0;
  const Tensor plain = tensor_of<T>(shape, x);
  const Tensor given = (block > 1 ? reorder(plain, blocked_layout(block)) : plain).detach().set_requires_grad();
  const Tensor weight = full({channels}, double(gamma), dtype_of<P>).set_requires_grad(),
               bias = full({channels}, double(beta), dtype_of<P>).set_requires_grad();
  const Tensor running_mean = full({channels}, double(drawn.mean), dtype_of<P>),
               running_var = full({channels}, double(drawn.deviation * drawn.deviation), dtype_of<P>);
  const bool training = statistics == Statistics::batch;
  const Tensor y = batch_norm(given, {weight, bias, running_mean.clone(), running_var.clone()},
                              {.training = training, .eps = drawn.eps}, {.relu = relu});
  y.backward(tensor_of<T>(shape, g));
  const Reals values = reals_of(y), to_x = reals_of(given.grad()), to_gamma = reals_of(weight.grad()),
              to_beta = reals_of(bias.grad());

  Worst value, dx, dgamma, dbeta;
  for (int64_t c = 0; c < channels; ++c) {
    const auto each = [&](auto f) {
      for (int64_t image = 0; image < images; ++image) {
        for (int64_t i = 0; i < plane; ++i) f(size_t((image * channels + c) * plane + i));
      }
    };
    const Real count = Real(images * plane), origin = x[size_t(c * plane)];
    Real mean = 0, variance = 0;
    each([&](size_t i) { mean += (x[i] - origin) / count; });
    each([&](size_t i) { variance += (x[i] - origin - mean) * (x[i] - origin - mean) / count; });
    if (!training) {
      mean = Real(running_mean.to_vector<double>()[0]) - origin;
      variance = running_var.to_vector<double>()[0];
    }
    const Real rstd = 1 / std::sqrt(variance + drawn.eps);
    const Real far = std::is_same_v<T, double> ? std::abs(drawn.mean) * rstd / 2048 : 0;
    const Real spread = std::sqrt(variance) * rstd + far;
    const auto normal = [&](size_t i) { return (x[i] - origin - mean) * rstd; };
    const auto passed = [&](size_t i) { return relu && !(values[i] > 0) ? 0 : g[i]; };
    Real sum = 0, product = 0, sizes = 0, products = 0;
    each([&](size_t i) {
      const Real right = normal(i) * gamma + beta;
      value.see<T>(drawn.deviation, values[i], relu && right < 0 ? 0 : right, std::max(spread * gamma, beta));
      sum += passed(i), sizes += std::abs(passed(i));
      product += passed(i) * normal(i), products += std::abs(passed(i) * normal(i));
    });
    each([&](size_t i) {
      const Real through = training ? (sum + normal(i) * product) / count : 0;
      dx.see<T>(drawn.deviation, to_x[i], gamma * rstd * (passed(i) - through),
                gamma * rstd * (training ? 1 + far : std::abs(g[i])));
    });
    dgamma.see<P>(drawn.deviation, to_gamma[size_t(c)], product, products / std::sqrt(count) + sizes * far);
    dbeta.see<P>(drawn.deviation, to_beta[size_t(c)], sum, sizes / std::sqrt(count));
  }
  const std::string name = std::string(name_of(dtype_of<T>)) + " batch norm, " + drawn.name + ", " + shape.str() +
                           ", blocks of " + std::to_string(block) + (relu ? ", relu" : "") +
                           (training ? "" : ", running statistics");
  const double bound = std::is_same_v<T, bf16> ? 0.6 : 8;
  check_worst(name, value, bound);
  check_worst(name + ": gradient", dx, bound);
  check_worst(name + ": gradient of gamma", dgamma, 16);
  check_worst(name + ": gradient of beta", dbeta, 16);
}

}  // namespace

TEST_CASE("ulps: batch norm and its gradients, of channels of any size and far from 0") {
  const std::vector<Channels> cases{{"plain", 0, 1},
                                    {"at 1e4", 1e4, 1},
                                    {"close, at 1e4", 1e4, 0.05L},
                                    {"at -1e6", -1e6, 3},
                                    {"small", 0, 1e-4L, 1e-12},
                                    {"1e-20", 0, 1e-20L},
                                    {"1e-20, eps 1e-44", 0, 1e-20L, 1e-44},
                                    {"1e18", 0, 1e18L},
                                    {"1e25", 0, 1e25L},
                                    {"1e35", 0, 1e35L},
                                    {"all alike", 3, 0}};
  const Shape shape{6, 32, 5, 7}, few{2, 16, 1, 1};
  for (const Channels& drawn : cases) {
    const bool fits = drawn.deviation * drawn.deviation < 1e38L && drawn.deviation * drawn.deviation > 1e-37L;
    for (const bool relu : {false, true}) {
      for (const int64_t block : {1, 8, 16}) {
        sweep<float>(drawn, shape, block, relu, Statistics::batch);
        if (has_bf16()) sweep<bf16>(drawn, shape, block, relu, Statistics::batch);
        if (fits) sweep<float>(drawn, shape, block, relu, Statistics::running);
      }
      sweep<double>(drawn, shape, 1, relu, Statistics::batch);
    }
    sweep<float>(drawn, few, 1, false, Statistics::batch);
  }
}
