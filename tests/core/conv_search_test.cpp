#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "core/autograd/autograd.h"
#include "core/backend/conv/choice.h"
#include "core/backend/conv/offer.h"
#include "core/backend/reference.h"
#include "core/base/random.h"
#include "core/base/simd.h"
#include "core/ops/conv.h"
#include "core/ops/pool.h"
#include "core/tensor/create.h"
#include "core/tensor/dirty_memory.h"
#include "tests/compare.h"
#include "tests/core/own_cache.h"

// What convolutions compute, over shapes drawn at random and in memory that holds NaN, against the plain loops in f64.
namespace az::test {
namespace {

struct Draw {
  Philox generator;
  explicit Draw(uint64_t seed) : generator(seed) {}
  int64_t of(std::initializer_list<int64_t> values) { return values.begin()[generator.integer(int64_t(values.size()))]; }
  bool coin() { return generator.bernoulli(0.5); }
  Size2 both(std::initializer_list<int64_t> values) {
    const int64_t one = of(values);
    return generator.bernoulli(0.75) ? Size2(one) : Size2(one, of(values));
  }
  // +1 and -1: a term that is missing, doubled or strange changes a sum by 1 or more, of any size. 0 where not of the share.
  Tensor signs(const Shape& shape, double share = 1) {
    Tensor result = Tensor::empty(shape, DType::f64);
    double* values = result.mutable_data<double>();
    for (int64_t i = 0; i < shape.numel(); ++i) values[i] = generator.next_u32() & 1 ? 1 : -1;
    for (int64_t i = 0; share < 1 && i < shape.numel(); ++i) values[i] *= generator.bernoulli(share);
    return result;
  }
};

struct Problem {
  Shape x, weight;
  Conv2dParams params;
  bool bias, scale, residual, relu;
  std::string str() const {
    auto pair = [](const Size2& size) { return fmt::format("{}x{}", size.h, size.w); };
    return fmt::format("{} * {} stride {} padding {} dilation {} groups {}{}{}{}{}", x.str(), weight.str(), pair(params.stride),
                       pair(params.padding), pair(params.dilation), params.groups, bias ? " bias" : "", scale ? " scale" : "",
                       residual ? " residual" : "", relu ? " relu" : "");
  }
};

// Operands whose results are whole numbers that bf16 holds, too, with products of bf16 in Winograd's method, which are made of
// sums of the operands: where `for_bf16`, 3x3 windows are products of a column and a row (a, b, c) with a and c of 1 and 2 in
// size, b and a + c multiples of 3, which become multiples of 1/64 of a few bits, and fewer images' numbers are not 0.
struct Operands {
  Tensor x, weight, g;
  Operands(const Problem& p, const Shape& y, bool for_bf16, Draw& d) {
    const bool has_windows = for_bf16 && p.weight[2] == 3 && p.weight[3] == 3;
    const auto share = [&](int64_t channels) { return has_windows ? 48. / double(9 * channels) : 1; };
    x = d.signs(p.x, share(p.weight[1]));
    weight = d.signs(p.weight);
    g = d.signs(y, share(p.weight[0] / p.params.groups));
    if (!has_windows) return;
    double* values = weight.mutable_data<double>();
    const auto line = [&] {
      const double sign = d.coin() ? 1 : -1, first = d.coin() ? 1 : 2;
      return std::array{sign * first, d.coin() ? 3. : -3., d.coin() ? sign * (3 - first) : -sign * first};
    };
    for (int64_t at = 0; at < weight.numel(); at += 9) {
      const auto column = line(), row = line();
      for (size_t k = 0; k < 9; ++k) values[at + int64_t(k)] = column[k / 3] * row[k % 3];
    }
  }
};

Shape shape_of_y(const Problem& p) {
  const Conv2dParams& c = p.params;
  const auto side = [](int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t padding) {
    return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  };
  return {p.x[0], p.weight[0], side(p.x[2], p.weight[2], c.stride.h, c.dilation.h, c.padding.h),
          side(p.x[3], p.weight[3], c.stride.w, c.dilation.w, c.padding.w)};
}

bool fits(const Problem& p) {
  const Conv2dParams& c = p.params;
  const int64_t h = p.x[2] + 2 * c.padding.h - c.dilation.h * (p.weight[2] - 1),
                w = p.x[3] + 2 * c.padding.w - c.dilation.w * (p.weight[3] - 1);
  return h > 0 && w > 0 && p.weight.numel() * p.x[0] * h * w < 4'000'000;
}

Problem draw(Draw& d) {
  for (;;) {
    Problem p;
    const bool depthwise = d.generator.bernoulli(0.1);
    p.params.groups = depthwise ? d.of({3, 16, 24, 33}) : d.of({1, 1, 1, 2, 3, 16});
    const int64_t in = depthwise ? 1 : d.of({1, 3, 7, 16, 16, 20, 32, 48}),
                  out = depthwise ? d.of({1, 1, 2}) : d.of({1, 5, 16, 16, 24, 32, 64});
    const Size2 kernel = d.both({1, 2, 3, 3, 3, 5, 7}), side = d.both({1, 2, 3, 4, 5, 7, 9, 14, 17, 31});
    p.x = {d.of({1, 2, 3, 5, 8, 9}), in * p.params.groups, side.h, side.w};
    p.weight = {out * p.params.groups, in, kernel.h, kernel.w};
    p.params.stride = d.both({1, 1, 2, 2, 3, 4});
    p.params.dilation = d.both({1, 1, 1, 2, 3});
    p.params.padding = d.coin() ? Size2(kernel.h / 2, kernel.w / 2) : d.both({0, 1, 2, 3, 4});
    p.bias = d.coin();
    p.scale = d.coin();
    p.residual = d.coin();
    p.relu = d.coin();
    if (fits(p)) return p;
  }
}

struct Results {
  Tensor y, dx, dw, db, then;
};

Results solve(const Problem& p, DType type, bool for_bf16, Draw d) {
  const DType plain = type == DType::bf16 ? DType::f32 : type;
  const Operands of(p, shape_of_y(p), for_bf16, d);
  Tensor x = of.x.to(type).set_requires_grad(), w = of.weight.to(plain).set_requires_grad();
  Tensor b = p.bias ? d.signs({p.weight[0]}).to(plain).set_requires_grad() : Tensor();
  const Tensor y = conv2d(x, w, b, p.params);
  y.backward(of.g.to(type));
  Results r{y.detach(), x.grad(), w.grad(), p.bias ? b.grad() : Tensor(), {}};
  const Tensor scale = p.scale ? d.signs({p.weight[0]}).to(plain) : Tensor();
  const Then then{.residual = p.residual ? d.signs(y.shape()).to(type) : Tensor(), .relu = p.relu};
  r.then =
      backend_for(type, "conv2d").conv2d(x.detach(), w.detach(), p.bias ? b.detach() : b, scale, p.params, then, y.shape());
  return r;
}

// The largest difference of two elements, beside what rounding is allowed: sums of whole numbers have none but in Winograd's
// transforms; bf16 keeps 8 bits.
double excess(const Tensor& found, const Tensor& right) {
  const auto a = found.to_vector<double>(), b = right.to_vector<double>();
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]), allowed = 0.01 + (found.dtype() == DType::bf16 ? std::abs(b[i]) / 256 : 0);
    if (!(difference <= allowed)) most = std::isnan(difference) ? INFINITY : std::max(most, difference);
  }
  return most;
}

// What all implementations of one direction give, against f64: each result is right, or its trial says that it is not, which
// may be said of the library's alone.
struct Walk {
  DType type;
  size_t right = 0;
  std::map<std::string, size_t> own = {};
  std::string found_out = {};
  template <class Direction, class Excess>
  void operator()(const ConvProblem& problem, const typename Direction::Operands& operands, Excess excess_of) {
    CAPTURE(problem.str(problem.x[0]));
    const Offer<Direction> offer = offered<Direction>;
    Judge<Direction> judge(problem, offer);
    for (const Implementation<Direction>& one : offer(problem).all) {
      CAPTURE(one.name);
      const DirtyMemory dirty;
      const Solve<Direction> by = one.make();
      const bool is_right = excess_of(by(operands)) == 0;
      CHECK(is_right == judge.is_right(one, by));
      for (const char* kind : {"winograd_4x4:", "depthwise:"}) {
        if (!one.name.starts_with(kind)) continue;
        CHECK(is_right);
        ++own[kind];
      }
      if (is_right)
        ++right;
      else
        found_out += fmt::format("; {} {}", problem.direction, one.name);
    }
  }
};

Walk walk(const Problem& p, DType type, Draw d) {
  Walk each{type};
  const Shape shape = shape_of_y(p);
  const Operands operands(p, shape, type == DType::bf16, d);
  const Tensor &x = operands.x, &w = operands.weight, &g = operands.g, b = p.bias ? d.signs({p.weight[0]}) : Tensor();
  const Tensor residual = p.residual ? d.signs(shape) : Tensor();
  auto as = [](const Tensor& of, DType wanted) { return of.defined() ? of.to(wanted) : Tensor(); };
  const Tensor x_ = x.to(type), g_ = g.to(type), w_ = w.to(DType::f32), b_ = as(b, DType::f32);

  const Then then{.residual = as(residual, type), .relu = p.relu};
  const Tensor none;
  const Tensor y = Reference().conv2d(x, w, b, none, p.params, {.residual = residual, .relu = p.relu}, shape);
  each.operator()<ConvForward>({"forward", p.x, p.weight, shape, type, p.params, p.bias, p.residual, p.relu},
                               {x_, w_, b_, none, then}, [&](const Tensor& found) { return excess(found, y); });

  const Tensor dx = Reference().conv2d_backward_data(g, w, p.params, p.x);
  each.operator()<ConvBackwardData>({"backward_data", p.x, p.weight, shape, type, p.params}, {g_, w_},
                                    [&](const Tensor& found) { return excess(found, dx); });

  const ConvWeightGradients right = Reference().conv2d_backward_weights(g, x, p.weight, p.bias, p.params);
  each.operator()<ConvBackwardWeights>(
      {"backward_weights", p.x, p.weight, shape, type, p.params, p.bias}, {x_, g_}, [&](const ConvWeightGradients& found) {
        return excess(found.weight, right.weight) + (p.bias ? excess(found.bias, right.bias) : 0);
      });
  return each;
}

void check(const Problem& p, DType type, const Draw& d) {
  CAPTURE(p.str());
  CAPTURE(name_of(type));
  const bool for_bf16 = type == DType::bf16;
  const Results right = solve(p, DType::f64, for_bf16, d);
  const DirtyMemory dirty;
  const Results found = solve(p, type, for_bf16, d);
  CHECK(excess(found.y, right.y) == 0);
  CHECK(excess(found.dx, right.dx) == 0);
  CHECK(excess(found.dw, right.dw) == 0);
  if (p.bias) CHECK(excess(found.db, right.db) == 0);
  CHECK(excess(found.then, right.then) == 0);
}

std::vector<DType> types() { return has_bf16() ? std::vector{DType::f32, DType::bf16} : std::vector{DType::f32}; }

}  // namespace

#ifndef SEARCH_COUNT
#define SEARCH_COUNT 40
#endif
#ifndef SEARCH_FIRST
#define SEARCH_FIRST 0
#endif

TEST_CASE("conv2d: shapes drawn at random, in all directions, have the results of f64") {
  const OwnCache cache;  // so that each is tried
  for (uint64_t seed = SEARCH_FIRST; seed < SEARCH_FIRST + SEARCH_COUNT; ++seed) {
    Draw d(seed);
    const Problem p = draw(d);
    for (DType type : types()) check(p, type, d);
  }
}

TEST_CASE("conv2d: each implementation of a problem has the results of f64, or its trial finds it out") {
  size_t right = 0;
  std::map<DType, std::map<std::string, size_t>> own;  // of our own implementations that were walked
  for (uint64_t seed = SEARCH_FIRST; seed < SEARCH_FIRST + SEARCH_COUNT; ++seed) {
    Draw d(seed);
    const Problem p = draw(d);
    for (DType type : types()) {
      const Walk walked = walk(p, type, d);
      right += walked.right;
      for (const auto& [kind, count] : walked.own) own[type][kind] += count;
      if (!walked.found_out.empty())
        MESSAGE("wrong, and found out: " << std::string(name_of(type)) << " " << p.str() << walked.found_out);
    }
  }
  CHECK(right >= SEARCH_COUNT * 3 * types().size());
  // Elsewhere images need not lie in blocks.
  if (simd_width() > 4 && !has(backend_info().onednn_isa, "SSE")) {
    for (DType type : types()) CHECK(own[type].size() == 2);
  }
}

TEST_CASE("conv2d: inputs narrower than the stride have the results of f64") {
  const OwnCache cache;
  for (const auto& [x, weight, stride, padding] : std::vector<std::tuple<Shape, Shape, Size2, Size2>>{
           {{2, 16, 1, 1}, {16, 16, 3, 3}, 2, 1},
           {{8, 16, 1, 1}, {16, 16, 3, 3}, 2, 1},
           {{2, 64, 1, 1}, {128, 64, 3, 3}, 2, 1},
           {{2, 20, 3, 1}, {16, 20, 1, 3}, {1, 2}, {0, 1}},
           {{3, 16, 2, 2}, {32, 16, 5, 5}, 3, 2},
           {{3, 32, 5, 3}, {16, 32, 3, 4}, {1, 4}, {1, 2}},
           {{9, 16, 1, 1}, {16, 16, 7, 7}, 2, 3},
       }) {
    check({x, weight, {.stride = stride, .padding = padding}, true, true, true, true}, DType::f32, Draw(1));
    if (has_bf16()) check({x, weight, {.stride = stride, .padding = padding}, true, true, true, true}, DType::bf16, Draw(1));
  }
}

TEST_CASE("conv2d: the first filter's gradient of ones, at a stride wider than the input, is 2 in the centre") {
  for (DType type : types()) {
    CAPTURE(name_of(type));
    const Tensor x = ones({2, 16, 1, 1}).to(type), w = ones({16, 16, 3, 3}).set_requires_grad();
    const Tensor y = conv2d(x, w, {}, {.stride = 2, .padding = 1});
    y.backward(ones(y.shape()).to(type));
    const auto gradient = w.grad().to_vector<float>();
    for (size_t i = 0; i < gradient.size(); ++i) REQUIRE(gradient[i] == (i % 9 == 4 ? 2 : 0));
  }
}

TEST_CASE("avg_pool2d: shapes drawn at random, in both directions, have the results of f64") {
  for (uint64_t seed = SEARCH_FIRST; seed < SEARCH_FIRST + SEARCH_COUNT; ++seed) {
    Draw d(seed);
    const Shape shape{d.of({1, 2, 5, 9}), d.of({1, 3, 8, 16, 20, 33}), d.of({1, 2, 5, 8, 17}), d.of({1, 3, 7, 9, 16})};
    Pool2dParams params{.kernel = d.both({1, 2, 3, 5})};
    params.stride = d.both({1, 2, 3, 4});
    params.padding = {d.coin() ? params.kernel.h / 2 : 0, d.coin() ? params.kernel.w / 2 : 0};
    if (shape[2] + 2 * params.padding.h < params.kernel.h || shape[3] + 2 * params.padding.w < params.kernel.w) continue;
    const bool blocked = d.coin();
    auto solve = [&](DType type) {
      Draw same = d;
      Tensor x = same.signs(shape).to(type);
      if (blocked && type != DType::f64) {  // as a convolution leaves it
        Tensor eye = zeros({shape[1], shape[1], 1, 1});
        for (int64_t i = 0; i < shape[1]; ++i) eye.mutable_data<float>()[i * shape[1] + i] = 1;
        x = conv2d(x, eye, {}).detach();
      }
      x.set_requires_grad();
      const Tensor y = avg_pool2d(x, params);
      y.backward(same.signs(y.shape()).to(type));
      return std::pair(y.detach(), x.grad());
    };
    CAPTURE(shape.str());
    CAPTURE(params.kernel.h);
    CAPTURE(params.stride.h);
    const auto right = solve(DType::f64);
    for (DType type : types()) {
      CAPTURE(name_of(type));
      const DirtyMemory dirty;
      const auto found = solve(type);
      CHECK(excess(found.first, right.first) == 0);
      CHECK(excess(found.second, right.second) == 0);
    }
  }
}

}  // namespace az::test
