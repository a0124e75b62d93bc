#include <doctest/doctest.h>

#include <thread>

#include "core/autograd/autograd.h"
#include "core/backend/packed.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/conv.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/tensor/create.h"
#include "tests/compare.h"

// Primitives and packed weights are kept between calls; here calls differ in one thing at a time, over the same shapes.
namespace az::test {
namespace {

Tensor random(const Shape& shape, uint64_t seed = 11) {
  Philox generator(seed);
  return uniform(shape, {.low = -1, .high = 1}, generator);
}

// The op's value and its gradients in f32 against f64.
template <class Op> void check_both(const std::vector<Tensor>& inputs, Op op) {
  std::vector<Tensor> found, wanted;
  for (DType type : {DType::f32, DType::f64}) {
    std::vector<Tensor> leaves, &results = type == DType::f32 ? found : wanted;
    for (const Tensor& input : inputs) leaves.push_back(input.to(type).clone().set_requires_grad());
    Tensor value = op(leaves);
    results = grad(value, leaves, {.gradient = random(value.shape(), 12).to(type)});
    results.push_back(value);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(distance(found[i], wanted[i]) <= 1e-5);
  }
}

}  // namespace

TEST_CASE("cached primitives: each parameter of a convolution counts") {
  for (const Conv2dParams& params : std::initializer_list<Conv2dParams>{{},
                                                                        {.stride = {2, 1}},
                                                                        {.stride = {1, 2}},
                                                                        {.padding = {1, 0}},
                                                                        {.padding = {0, 1}},
                                                                        {.dilation = {2, 1}},
                                                                        {.dilation = {1, 2}},
                                                                        {.stride = {2, 1}, .padding = {1, 0}}}) {
    auto with_bias = [&](const auto& x) { return conv2d(x[0], x[1], x[2], params); };
    auto without = [&](const auto& x) { return conv2d(x[0], x[1], {}, params); };
    check_both({random({2, 16, 8, 8}), random({16, 16, 3, 3}), random({16})}, with_bias);
    check_both({random({2, 16, 8, 8}), random({16, 16, 3, 3})}, without);
  }
}

TEST_CASE("cached primitives: each parameter of a pooling, and eps of a batch norm, counts") {
  for (const Pool2dParams& params : std::initializer_list<Pool2dParams>{{.kernel = 3},
                                                                        {.kernel = {3, 2}},
                                                                        {.kernel = {2, 3}},
                                                                        {.kernel = 3, .stride = {1, 2}},
                                                                        {.kernel = 3, .stride = {2, 1}},
                                                                        {.kernel = 3, .padding = {1, 0}},
                                                                        {.kernel = 3, .padding = {0, 1}}}) {
    check_both({random({2, 16, 8, 8})}, [&](const auto& x) { return max_pool2d(x[0], params); });
    check_both({random({2, 16, 8, 8})}, [&](const auto& x) { return avg_pool2d(x[0], params); });
  }
  for (double eps : {1e-5, 0.1}) {
    check_both({random({4, 16, 3, 3}), random({16}), random({16})}, [&](const auto& x) {
      return batch_norm(x[0], {x[1], x[2]}, {.eps = eps});
    });
  }
}

TEST_CASE("packed weights: a change in place is seen, by either spelling, and by the next tensor at the same address") {
  Tensor x = random({2, 16, 8, 8}), weight = random({32, 16, 3, 3});
  auto check = [&] { CHECK(distance(conv2d(x, weight, {}), conv2d(x.to(DType::f64), weight.to(DType::f64), {})) <= 1e-5); };
  check();
  weight.mul_(3);
  check();
  weight.mutable_data<float>()[17] = 100;
  check();
  weight.add_(random({32, 16, 3, 3}), -2);
  check();
  weight.copy_(ones({32, 16, 3, 3}));
  check();
  for (int i = 1; i < 4; ++i) {
    weight = {};
    weight = full({32, 16, 3, 3}, i);
    check();
  }
}

TEST_CASE("packed weights: they go when the weight goes") {
#if defined(__x86_64__)
  constexpr size_t held = 2;  // the weight and a packed form
#else
  constexpr size_t held = 1;  // a product of matrices may take the weight as it is
#endif
  const Tensor x = random({2, 64, 8, 8});
  conv2d(x, random({64, 64, 5, 5}), {});  // makes the primitives
  const size_t before = memory_stats().in_use;
  for (int i = 0; i < 4; ++i) {
    const Tensor weight = random({64, 64, 5, 5}, uint64_t(i));
    conv2d(x, weight, {});
    CHECK(memory_stats().in_use >= before + held * 64 * 64 * 25 * sizeof(float));
  }
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("packed weights: shapes that share elements have forms of their own") {
  const Tensor weight = random({64, 32, 3, 3}), turned = weight.reshape({32, 64, 3, 3});
  const Tensor x = random({2, 32, 8, 8}), other = random({2, 64, 8, 8});
  for (int i = 0; i < 3; ++i) {
    CHECK(distance(conv2d(x, weight, {}), conv2d(x.to(DType::f64), weight.to(DType::f64), {})) <= 1e-5);
    CHECK(distance(conv2d(other, turned, {}), conv2d(other.to(DType::f64), turned.to(DType::f64), {})) <= 1e-5);
  }
}

TEST_CASE("packed weights: where packing fails, the next use packs again") {
  const Tensor weight = random({4, 4, 3, 3});
  bool fails = false;
  const auto use = [&] {
    const auto form = packed_weight(weight, {}, {8, 64}, [&](const Tensor& from, void* into) {
      if (fails) fail("no memory");
      *static_cast<float*>(into) = from.data<float>()[0];
    });
    return *static_cast<const float*>(form->data());
  };
  CHECK(use() == weight.data<float>()[0]);
  weight.mul_(3);
  fails = true;
  CHECK_THROWS_AS(use(), Error);
  fails = false;
  CHECK(use() == weight.data<float>()[0]);
}

TEST_CASE("packed weights: threads that use one weight at a time all see its newest elements") {
  const Tensor x = random({2, 16, 8, 8}), weight = random({32, 16, 3, 3});
  for (int i = 1; i < 20; ++i) {
    weight.fill_(i);
    const Tensor wanted = conv2d(x.to(DType::f64), weight.to(DType::f64), {});
    std::vector<Tensor> found(4);
    std::vector<std::thread> threads;
    for (Tensor& y : found) threads.emplace_back([&] { y = conv2d(x, weight, {}); });
    for (std::thread& thread : threads) thread.join();
    for (const Tensor& y : found) CHECK(distance(y, wanted) <= 1e-5);
  }
}

TEST_CASE("packed weights: the f32 and the bf16 form of a weight stay apart, and both follow its changes") {
  if (test::skipped_without_bf16()) return;
  Tensor x = random({2, 16, 8, 8}).to(DType::bf16), weight = random({32, 16, 3, 3});
  for (int i = 0; i < 3; ++i) {
    Tensor wanted = conv2d(x.to(DType::f64), weight.to(DType::f64), {});
    CHECK(distance(conv2d(x, weight, {}), wanted) <= 4e-3);
    CHECK(distance(conv2d(x.to(DType::f32), weight, {}), wanted) <= 1e-5);
    weight.mul_(-3);
  }
}

}  // namespace az::test
