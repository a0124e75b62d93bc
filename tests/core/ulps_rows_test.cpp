#include <functional>
#include <numeric>

#include "core/backend/info.h"
#include "tests/core/ulps.h"

using namespace az;
using namespace az::test;

// Functions of a row of numbers. Each result is a sum of terms that may cancel by what is in them, so that an error is counted
// in ulps at the largest term of that one element, or at the result where nothing is subtracted.
namespace {

Real largest(const Reals& x) { return *std::max_element(x.begin(), x.end()); }
Real total(const Reals& x) { return std::accumulate(x.begin(), x.end(), Real(0)); }
template <class F> Reals each(size_t n, F f) {
  Reals y;
  for (size_t i = 0; i < n; ++i) y.push_back(f(i));
  return y;
}
// By differences from the first: they are exact, or nearly so, also of numbers that are close to each other and far from 0.
Reals centred(const Reals& x) {
  const Reals d = each(x.size(), [&](size_t i) { return x[i] - x[0]; });
  const Real mean = total(d) / Real(x.size());
  return each(x.size(), [&](size_t i) { return d[i] - mean; });
}
Real dot(const Reals& a, const Reals& b) { return std::inner_product(a.begin(), a.end(), b.begin(), Real(0)); }

// log p_i with p = softmax(x)
Reals log_shares(const Reals& x) {
  const size_t top = size_t(std::max_element(x.begin(), x.end()) - x.begin());
  Real rest = 0;
  for (size_t i = 0; i < x.size(); ++i) rest += i == top ? 0 : std::exp(x[i] - x[top]);
  return each(x.size(), [&](size_t i) { return (x[i] - x[top]) - std::log1p(rest); });
}
Reals shares(const Reals& x) {
  const Reals logs = log_shares(x);
  return each(x.size(), [&](size_t i) { return std::exp(logs[i]); });
}

// A number that is the sum of terms; and the largest of them.
struct Sum {
  Real value = 0, term = 0;
  void add(Real t) {
    value += t;
    term = std::max(term, std::abs(t));
  }
};
template <class F> Sum sum_over(size_t n, F f) {
  Sum s;
  for (size_t i = 0; i < n; ++i) s.add(f(i));
  return s;
}
template <class F> std::vector<Sum> each_sum(size_t n, F f) {
  std::vector<Sum> y;
  for (size_t i = 0; i < n; ++i) y.push_back(f(i));
  return y;
}

// The value is a row or one number; the gradient is that of g times it.
struct Right {
  std::vector<Sum> value, gradient;
};
struct RowFunction {
  std::string name;
  std::function<Tensor(const Tensor&)> op;  // of [1,n]
  std::function<Right(const Reals& x, const Reals& g)> right;
  double bf16_ulps = 0.51;  // more where a result is made of others that are bf16
  bool divides_by_norm = false;
};

constexpr size_t n = 19;  // more than two vectors, and a rest

// The right of y = (x - mean) / sqrt(var + eps).
Right standardized(const Reals& x, const Reals& g, Real eps) {
  const Reals d = centred(x);
  const Real s = 1 / std::sqrt(dot(d, d) / n + eps);
  const Reals y = each(n, [&](size_t i) { return d[i] * s; }), gc = centred(g);
  return {each_sum(n,
                   [&](size_t i) {
                     return Sum{y[i], std::sqrt(dot(y, y) / n)};
                   }),
          each_sum(n, [&](size_t i) {
            Sum sum{s * gc[i], s * std::abs(g[i])};
            sum.add(-s * y[i] * dot(gc, y) / n);
            return sum;
          })};
}

std::vector<RowFunction> row_functions() {
  std::vector<RowFunction> all;
  all.push_back({"softmax", [](const Tensor& x) { return softmax(x); },
                 [](const Reals& x, const Reals& g) {
                   const Reals p = shares(x);
                   // sum_k p_i p_k (g_i - g_k)
                   return Right{each_sum(n,
                                         [&](size_t i) {
                                           return Sum{p[i], 0};
                                         }),
                                each_sum(n, [&](size_t i) {
                                  return sum_over(n, [&](size_t k) { return p[i] * p[k] * (g[i] - g[k]); });
                                })};
                 }});
  all.push_back({"log_softmax", [](const Tensor& x) { return log_softmax(x); },
                 [](const Reals& x, const Reals& g) {
                   const Reals logs = log_shares(x), p = shares(x);
                   // sum_k (g_i p_k - p_i g_k)
                   return Right{each_sum(n,
                                         [&](size_t i) {
                                           return Sum{logs[i], 0};
                                         }),
                                each_sum(n, [&](size_t i) {
                                  Sum sum;
                                  for (size_t k = 0; k < n; ++k) {
                                    if (k == i) continue;
                                    sum.add(g[i] * p[k]);
                                    sum.add(-p[i] * g[k]);
                                  }
                                  return sum;
                                })};
                 }});
  all.push_back({"logsumexp", [](const Tensor& x) { return logsumexp(x, {{1}}); },
                 [](const Reals& x, const Reals& g) {
                   const Reals logs = log_shares(x), p = shares(x);
                   Sum value;
                   value.add(largest(x));
                   value.add(-largest(logs));
                   return Right{{value}, each_sum(n, [&](size_t i) { return Sum{g[0] * p[i], 0}; })};
                 }});
  for (const double smoothing : {0.0, 0.1}) {
    for (const int64_t label : {0, 7}) {
      const auto weight = [=](size_t i) { return (1 - Real(smoothing)) * (int64_t(i) == label) + Real(smoothing) / n; };
      all.push_back(
          {"cross_entropy, label " + std::to_string(label) + ", smoothing " + std::to_string(smoothing),
           [=](const Tensor& x) { return cross_entropy(x, Tensor::of<int64_t>({1}, {label}), {.label_smoothing = smoothing}); },
           [=](const Reals& x, const Reals& g) {
             const Reals logs = log_shares(x), p = shares(x);
             // -sum w_i log p_i; g sum_k (p_i w_k - w_i p_k)
             return Right{{sum_over(n, [&](size_t i) { return -weight(i) * logs[i]; })}, each_sum(n, [&](size_t i) {
                            Sum sum;
                            for (size_t k = 0; k < n; ++k) {
                              if (k == i) continue;
                              sum.add(g[0] * p[i] * weight(k));
                              sum.add(-g[0] * weight(i) * p[k]);
                            }
                            return sum;
                          })};
           },
           1});
    }
  }
  all.push_back({"mean", [](const Tensor& x) { return mean(x, {{1}}); },
                 [](const Reals& x, const Reals& g) {
                   return Right{{sum_over(n, [&](size_t i) { return x[i] / n; })}, std::vector<Sum>(n, Sum{g[0] / n, 0})};
                 }});
  all.push_back({"var", [](const Tensor& x) { return var(x, {{1}}); },
                 [](const Reals& x, const Reals& g) {
                   const Reals d = centred(x);
                   return Right{{{dot(d, d) / (n - 1), 0}}, each_sum(n, [&](size_t i) {
                                  return Sum{2 * g[0] * d[i] / (n - 1), 2 * std::abs(g[0]) * std::sqrt(dot(d, d)) / (n - 1)};
                                })};
                 }});
  all.push_back({"norm", [](const Tensor& x) { return norm(x, {{1}}); },
                 [](const Reals& x, const Reals& g) {
                   const Real length = std::sqrt(dot(x, x));
                   return Right{{{length, 0}}, each_sum(n, [&](size_t i) { return Sum{g[0] * x[i] / length, 0}; })};
                 },
                 4, true});
  const Reals other = each(n, [](size_t i) { return Real(int(i * 7 % 11) - 5) / 4; });
  const Real other_length = std::sqrt(dot(other, other));
  all.push_back({"cosine_similarity",
                 [=](const Tensor& x) {
                   const std::vector<double> b(other.begin(), other.end());
                   return cosine_similarity(x, Tensor::of<double>({1, n}, b).to(x.dtype()), {.eps = 1e-300});
                 },
                 [=](const Reals& x, const Reals& g) {
                   const Real length = std::sqrt(dot(x, x));
                   Right right;
                   right.value.push_back(sum_over(n, [&](size_t i) { return x[i] / length * other[i] / other_length; }));
                   const Real cosine = right.value[0].value;
                   Real along = 0;
                   for (size_t i = 0; i < n; ++i) along += std::abs(x[i] / length * other[i] / other_length);
                   right.gradient = each_sum(n, [&](size_t i) {
                     Sum sum;
                     sum.add(g[0] * other[i] / other_length / length);
                     sum.add(-g[0] * cosine * x[i] / length / length);
                     sum.term = std::max(sum.term, std::abs(g[0] * along * x[i] / length / length));
                     return sum;
                   });
                   return right;
                 },
                 4, true});
  all.push_back(
      {"x / norm(x)",
       [](const Tensor& x) {
         return x / norm(x, {{1}, true});
       },
       [](const Reals& x, const Reals& g) {
         const Real length = std::sqrt(dot(x, x));
         const Reals u = each(n, [&](size_t i) { return x[i] / length; });
         Real along = 0;
         for (size_t i = 0; i < n; ++i) along += std::abs(g[i] * u[i]);
         return Right{
             each_sum(n,
                      [&](size_t i) {
                        return Sum{u[i], 0};
                      }),
             each_sum(n, [&](size_t i) {
               return Sum{(g[i] - u[i] * dot(g, u)) / length, std::max(std::abs(g[i]), std::abs(u[i]) * along) / length};
             })};
       },
       4, true});
  for (const double eps : {1e-5, 1e-38}) {
    all.push_back({"layer_norm, eps " + std::to_string(eps), [=](const Tensor& x) { return layer_norm(x, {}, {}, eps); },
                   [=](const Reals& x, const Reals& g) { return standardized(x, g, eps); }});
  }
  all.push_back({"group_norm",
                 [](const Tensor& x) {
                   return group_norm(x.reshape({1, n, 1}), {}, {}, {.groups = 1, .eps = 1e-5});
                 },
                 [](const Reals& x, const Reals& g) { return standardized(x, g, 1e-5); }});
  return all;
}

// Rows drawn around a mean.
struct Draw {
  Real mean, deviation;
};

template <class T> std::vector<Draw> draws() {
  std::vector<Draw> all{{0, 1},    {0, 0.03}, {0, 12},   {0, 90},        {0, 700},    {30, 5},
                        {-80, 9},  {1e3, 1},  {-1e4, 3}, {1e-20, 1e-20}, {0, 1e-20},  {0, 3e-39},
                        {0, 1e10}, {0, 1e18}, {0, 1e20}, {0, 3e37},      {1e30, 1e28}};
  if constexpr (std::is_same_v<T, float>) all.insert(all.end(), {{1e4, 1}, {1e6, 1}, {-1e4, 0.01}});
  if constexpr (std::is_same_v<T, double>) all.insert(all.end(), {{0, 1e-160}, {0, 1e-300}, {0, 1e160}, {0, 1e306}});
  return all;
}

template <class T> void sweep(const RowFunction& f) {
  constexpr bool is_bf16 = std::is_same_v<T, bf16>;
  Philox random(11);
  Worst value, gradient;
  for (const Draw& draw : draws<T>()) {
    // A norm that is as small as that has few digits left to divide by.
    if (f.divides_by_norm && draw.deviation < std::ldexp(Real(1), Format<T>::lowest)) continue;
    for (int repeat = 0; repeat < 12; ++repeat) {
      Reals x, g;
      for (size_t i = 0; i < n; ++i) {
        x.push_back(rounded<T>(draw.mean + draw.deviation * Real(random.normal())));
        g.push_back(rounded<T>(Real(random.normal())));
      }
      const Tensor given = tensor_of<T>({1, int64_t(n)}, x).set_requires_grad(), y = f.op(given);
      if (y.numel() == 1) g.resize(1);
      if (y.dtype() != given.dtype()) g = {1};  // f32 of bf16
      y.backward(tensor_of<double>(y.shape(), g).to(y.dtype()));
      const Right right = f.right(x, g);
      const Reals values = reals_of(y), gradients = reals_of(given.grad());
      auto see = [&](Worst& worst, const Reals& found, const std::vector<Sum>& wanted) {
        REQUIRE(found.size() == wanted.size());
        for (size_t i = 0; i < found.size(); ++i) {
          worst.see<T>(draw.deviation, found[i], wanted[i].value, wanted[i].term);
        }
      };
      see(value, values, right.value);
      see(gradient, gradients, right.gradient);
    }
  }
  const std::string name = std::string(name_of(dtype_of<T>)) + " ";
  const double bound = is_bf16 ? f.bf16_ulps : 8;
  check_worst(name + f.name, value, bound);
  check_worst(name + "gradient of " + f.name, gradient, bound);
}

}  // namespace

TEST_CASE("ulps: functions of rows and their gradients, of numbers of any size and far from 0") {
  for (const RowFunction& f : row_functions()) {
    sweep<bf16>(f);
    sweep<float>(f);
    sweep<double>(f);
  }
}

namespace {

// The largest error in da of cosine_similarity(a, b) = a b / (|a| |b|) for rows of `count` numbers that are `apart`, beside the
// largest |da|, which is da = b / (|a| |b|) - a (a b) / (|a|^3 |b|).
template <class T> Real error_where_nearly_parallel(int64_t count, double apart) {
  Philox random(9);
  std::vector<double> a, b;
  for (int64_t i = 0; i < count; ++i) {
    a.push_back(rounded<T>(Real(random.normal())));
    b.push_back(rounded<T>(Real(a.back() + apart * random.normal())));
  }
  const Tensor given = Tensor::of<double>({1, count}, a).to(dtype_of<T>).set_requires_grad();
  cosine_similarity(given, Tensor::of<double>({1, count}, b).to(dtype_of<T>)).backward(ones({1}, dtype_of<T>));
  const Reals wide_a(a.begin(), a.end()), wide_b(b.begin(), b.end()), found = reals_of(given.grad());
  const Real aa = dot(wide_a, wide_a), bb = dot(wide_b, wide_b), ab = dot(wide_a, wide_b);
  Real error = 0, most = 0;
  for (size_t i = 0; i < size_t(count); ++i) {
    const Real right = (wide_b[i] - wide_a[i] * (ab / aa)) / (std::sqrt(aa) * std::sqrt(bb));
    error = std::max(error, std::abs(found[i] - right));
    most = std::max(most, std::abs(right));
  }
  return error / most;
}

}  // namespace

TEST_CASE("ulps: the gradient of cosine_similarity keeps its digits where two rows are nearly parallel") {
  CHECK(error_where_nearly_parallel<bf16>(2, 0.01) < 0.004);
  CHECK(error_where_nearly_parallel<bf16>(64, 0.01) < 0.004);
  CHECK(error_where_nearly_parallel<float>(64, 1e-3) < 1e-7);
  CHECK(error_where_nearly_parallel<double>(64, 1e-3) < 1e-12);
}
