#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/autograd/autograd.h"
#include "core/backend/reorder.h"
#include "core/base/profile.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "core/ops.h"
#include "tests/compare.h"

using namespace az;
using az::test::distance;

namespace {

Tensor drawn(const Shape& shape, uint64_t seed) {
  Philox generator(seed);
  return uniform(shape, {.low = -1, .high = 1}, generator);
}

// Of either sign, from `gap` to gap + 0.5 away from 0: nothing comes near the kink of a ReLU, where rounding moves gradients.
Tensor away(const Shape& shape, double gap, uint64_t seed) {
  Tensor x = drawn(shape, seed);
  float* p = x.mutable_data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) p[i] = p[i] / 2 + float(p[i] < 0 ? -gap : gap);
  return x;
}

// x in blocks of so many channels, see blocked_layout().
Tensor in_blocks(const Tensor& x, int64_t block) { return reorder(x, blocked_layout(block)); }

// Row-major, blocks of 4, 8 and 16, channels last.
constexpr int64_t all_layouts[] = {1, 4, 8, 16, 0};

// relu(batch_norm(x) + residual) and its gradients with respect to x, gamma, beta and the residual; without the last where the
// residual is undefined.
// By the batch's statistics, or by given ones.
std::vector<Tensor> outcome(const Tensor& x, const Tensor& residual, int64_t block, DType type = DType::f32,
                            bool training = true) {
  const Shape channels{x.size(1)};
  std::vector<Tensor> leaves{x, away(channels, 0.5, 2), drawn(channels, 3) * 0.1};
  if (residual.defined()) leaves.push_back(residual);
  for (Tensor& leaf : leaves) {
    leaf = leaf.to(type).clone();
    if (leaf.rank() == 4) leaf = in_blocks(leaf, block);
    leaf.set_requires_grad();
  }
  const BatchNormParams options{.training = training};
  const Tensor mean = training ? Tensor() : (drawn(channels, 10) * 0.1).to(type);
  const Tensor variance = training ? Tensor() : (drawn(channels, 11) * 0.5 + 1.0).to(type);
  Tensor y = residual.defined()
                 ? batch_norm(leaves[0], {leaves[1], leaves[2], mean, variance}, options, {.residual = leaves[3], .relu = true})
                 : batch_norm(leaves[0], {leaves[1], leaves[2], mean, variance}, options, {.relu = true});
  CHECK(y.layout() == leaves[0].layout());
  std::vector<Tensor> found = grad(y, leaves, {.gradient = drawn(y.shape(), 4).to(type)});
  found.push_back(y.plain());
  return found;
}

// Sizes that make one slice and many, whole planes and parts of them, padded blocks and rows.
const std::vector<Shape> shapes{{2, 3, 5, 7},    {1, 16, 64, 64}, {70, 16, 32, 32}, {128, 40, 4, 4},
                                {9, 64, 16, 15}, {4, 2, 41, 25},  {300, 48, 1, 1},  {70, 10, 1, 1}};

}  // namespace

TEST_CASE("batch_norm: statistics keep the digits of a small variance about a large mean, whatever comes first") {
  for (const Shape& shape : shapes) {
    for (bool outlier : {false, true}) {
      CAPTURE(shape.str());
      CAPTURE(outlier);
      Tensor x = drawn(shape, 1) * 0.01 + 100.0;
      if (outlier) {
        if (shape[0] < 3) continue;
        std::fill_n(x.mutable_data<float>(), shape.numel() / shape[0], 0.0f);
      }
      Tensor mean64 = zeros({shape[1]}, DType::f64), variance64 = ones({shape[1]}, DType::f64);
      batch_norm(x.to(DType::f64), {{}, {}, mean64, variance64}, {.momentum = 1});
      for (int64_t block : all_layouts) {
        CAPTURE(block);
        Tensor mean = zeros({shape[1]}), variance = ones({shape[1]});
        Tensor y = batch_norm(in_blocks(x, block), {{}, {}, mean, variance}, {.momentum = 1});
        CHECK(distance(mean, mean64) < 1e-7);
        CHECK(distance(variance, variance64) < 1e-6);
        CHECK(distance(y, batch_norm(x.to(DType::f64), {})) < 1e-6);
      }
    }
  }
}

TEST_CASE("batch_norm: values and gradients of every size and layout are the reference's, with ReLU and residual") {
  for (const Shape& shape : shapes) {
    const Tensor x = away(shape, 0.5, 5), residual = away(shape, 2.5, 6);
    for (bool training : {true, false}) {
      for (const Tensor& added : {Tensor(), residual}) {
        auto wanted = outcome(x, added, 1, DType::f64, training);
        for (int64_t block : all_layouts) {
          CAPTURE(shape.str());
          CAPTURE(training);
          CAPTURE(added.defined());
          CAPTURE(block);
          auto found = outcome(x, added, block, DType::f32, training);
          for (size_t i = 0; i + 1 < found.size(); ++i) CHECK(distance(found[i], wanted[i]) < 3e-6);
          CHECK(distance(found.back(), wanted.back()) < 1e-6);
        }
      }
    }
  }
}

TEST_CASE("batch_norm: bf16 activations with or without f32 parameters, by the batch's statistics or given ones") {
  if (test::skipped_without_bf16()) return;
  const Shape shape{4, 20, 5, 3};
  const Tensor x = away(shape, 0.5, 5).to(DType::bf16), upstream = drawn(shape, 6).to(DType::bf16);
  for (bool training : {true, false}) {
    for (bool affine : {true, false}) {
      auto run = [&](DType type) {
        const DType activations = type == DType::f32 ? DType::bf16 : type;
        const Tensor in = x.to(activations).clone().set_requires_grad();
        const Tensor gamma = affine ? drawn({20}, 2).to(type) : Tensor(), beta = affine ? drawn({20}, 3).to(type) : Tensor();
        const Tensor mean = drawn({20}, 4).to(type), variance = (drawn({20}, 5) + 1.5).to(type);
        const Tensor y = batch_norm(in, {gamma, beta, mean, variance}, {.training = training});
        CHECK(y.dtype() == activations);
        std::vector<Tensor> found = grad(y, {in}, {.gradient = upstream.to(activations)});
        found.insert(found.end(), {y, mean, variance});
        return found;
      };
      const auto found = run(DType::f32), wanted = run(DType::f64);
      for (size_t i = 0; i < found.size(); ++i) CHECK(distance(found[i], wanted[i]) < (i < 2 ? 4e-3 : 1e-6));
    }
  }
}

TEST_CASE("batch_norm: given statistics may change between the value and its gradient") {
  const Tensor x = drawn({4, 16, 3, 3}, 7).set_requires_grad(), gamma = ones({16}).set_requires_grad();
  const Tensor mean = zeros({16}), variance = ones({16});
  const Tensor y = batch_norm(x, {gamma, {}, mean, variance}, {.training = false});
  mean.fill_(7);
  variance.fill_(4);
  y.backward(ones(y.shape()));
  CHECK(distance(x.grad(), ones(y.shape())) < 1e-5);
  CHECK(distance(gamma.grad(), sum(x.detach(), {{0, 2, 3}})) < 1e-5);
}

TEST_CASE("batch_norm: by given statistics a gradient or input that is not finite spoils no other gradient") {
  const Shape shape{3, 20, 4, 5};
  Tensor x = away(shape, 0.5, 5), g = drawn(shape, 6);
  x.mutable_data<float>()[100] = INFINITY;
  x.mutable_data<float>()[200] = NAN;
  x.mutable_data<float>()[300] = -INFINITY;
  g.mutable_data<float>()[50] = NAN;
  for (bool with_relu : {false, true}) {
    auto dx = [&](DType type, int64_t block) {
      const Tensor in = in_blocks(x.to(type), block).clone().set_requires_grad();
      const Tensor mean = (drawn({20}, 7) * 0.1).to(type), variance = (drawn({20}, 8) * 0.5 + 1.0).to(type);
      const Tensor y = batch_norm(in, {{}, {}, mean, variance}, {.training = false}, {.relu = with_relu});
      return grad(y, {in}, {.gradient = g.to(type)})[0].to_vector<double>();
    };
    const auto wanted = dx(DType::f64, 1);
    CHECK(std::count_if(wanted.begin(), wanted.end(), [](double v) { return std::isnan(v); }) <= 1);
    for (int64_t block : all_layouts) {
      CAPTURE(block);
      const auto found = dx(DType::f32, block);
      size_t off = 0;
      for (size_t i = 0; i < wanted.size(); ++i) {
        off += std::isnan(wanted[i]) ? !std::isnan(found[i]) : !(std::abs(found[i] - wanted[i]) < 1e-6);
      }
      CHECK(off == 0);
    }
  }
}

TEST_CASE("batch_norm: the number of threads does not change a bit") {
  const int before = thread_count();
  for (const Shape& shape : shapes) {
    const Tensor x = drawn(shape, 5), residual = drawn(shape, 6);
    for (int64_t block : all_layouts) {
      set_thread_count(1);
      const auto one = outcome(x, residual, block);
      for (int threads : {2, 3, 8}) {
        set_thread_count(threads);
        const auto many = outcome(x, residual, block);
        for (size_t i = 0; i < one.size(); ++i) {
          CAPTURE(shape.str());
          CHECK(std::memcmp(one[i].raw(), many[i].raw(), size_t(one[i].numel()) * sizeof(float)) == 0);
        }
      }
    }
  }
  set_thread_count(before);
}

TEST_CASE("batch_norm: a gradient that somebody holds is left as it was") {
  const Shape shape{4, 16, 3, 3};
  Tensor x = drawn(shape, 7).set_requires_grad(), r = drawn(shape, 8).set_requires_grad(), gamma = ones({16}),
         beta = zeros({16});
  Tensor upstream = drawn(shape, 9), copy = upstream.clone(), seen, copy_of_seen;
  Tensor y = batch_norm(x, {gamma, beta}, {}, {.residual = r, .relu = true});
  Tensor z = y * 2.0;
  y.register_hook([&](const Tensor& g) {
    seen = g;
    copy_of_seen = g.clone();
    return Tensor();
  });
  z.backward(upstream, {.retain_graph = true});
  CHECK(upstream.to_vector<float>() == copy.to_vector<float>());
  CHECK(seen.to_vector<float>() == copy_of_seen.to_vector<float>());
  const auto first = x.grad().to_vector<float>();
  x.zero_grad();
  y.backward(upstream * 2.0);
  CHECK(x.grad().to_vector<float>() == first);
}

TEST_CASE("batch_norm: a result used more than once gets two gradients unsummed, whose sum somebody may look at") {
  const Shape shape{4, 16, 3, 3};
  const Tensor gamma = ones({16}), beta = zeros({16});
  struct Found {
    std::vector<std::vector<float>> gradients;
    int64_t sums = 0;
  };
  auto run = [&](DType type, int uses, bool with_residual, bool watched) {
    const Tensor in = drawn(shape, 7).to(type).clone().set_requires_grad();
    const Tensor added = drawn(shape, 8).to(type).clone().set_requires_grad();
    Tensor y = with_residual ? batch_norm(in, {gamma, beta}, {}, {.residual = added, .relu = true})
                             : batch_norm(in, {gamma, beta}, {}, {.relu = true});
    if (watched) y.register_hook([](const Tensor&) { return Tensor(); });
    Tensor z = tanh(y);
    for (int i = 1; i < uses; ++i) z = z + y * double(i);
    Profile profile;
    z.backward(drawn(shape, 9).to(type));
    Found found{{in.grad().to_vector<float>()}, 0};
    if (with_residual) found.gradients.push_back(added.grad().to_vector<float>());
    for (const auto& entry : profile.entries()) found.sums += std::string(entry.op) == "accumulate" ? entry.calls : 0;
    return found;
  };
  for (DType type : {DType::f32, DType::bf16}) {
    if (type == DType::bf16 && test::skipped_without_bf16()) continue;
    for (bool with_residual : {false, true}) {
      for (int uses : {1, 2, 3}) {
        const Found apart = run(type, uses, with_residual, false), whole = run(type, uses, with_residual, true);
        CAPTURE(uses);
        CHECK(apart.sums == std::max(0, uses - 2));
        CHECK(whole.sums == uses - 1);
        CHECK(apart.gradients == whole.gradients);  // looking changes no bit
      }
    }
  }
}
