#include "core/tensor/tensor.h"

#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/backend/reorder.h"
#include "core/ops.h"

using namespace az;

namespace {

struct Misuse {
  std::function<void()> call;
  std::string message;
};

void check_refused(const std::vector<Misuse>& misuses) {
  for (const Misuse& misuse : misuses) {
    std::string message = "no error";
    try {
      misuse.call();
    } catch (const Error& error) {
      message = error.what();
    }
    CHECK(message == misuse.message);
  }
}

Tensor blocked(const Shape& shape) { return reorder(ones(shape), blocked_layout(16)); }

}  // namespace

TEST_CASE("tensor: every misuse is answered with what it got and what it wants") {
  Tensor x = ones({2, 3}), whole = zeros({3}, DType::i64), lain = blocked({1, 16, 2, 2});
  Tensor leaf = ones({2, 3}).set_requires_grad(), result = leaf * 2;
  check_refused({
      {[] { Tensor().shape(); }, "tensor: an undefined tensor was used; give it a value first"},
      {[] { Tensor().grad(); }, "tensor: an undefined tensor was used; give it a value first"},
      {[&] { x.data<double>(); }, "data: f32 [2,3] was asked for as f64"},
      {[&] { x.mutable_data<int64_t>(); }, "data: f32 [2,3] was asked for as i64"},
      {[&] { lain.data<float>(); }, "data: f32 [1,16,2,2] lies in a blocked layout; call plain() first"},
      {[&] { lain.mutable_data<float>(); }, "data: f32 [1,16,2,2] lies in a blocked layout; call plain() first"},
      {[&] { x.item(); }, "item: f32 [2,3] has 6 elements, not one"},
      {[&] { x.size(2); }, "size: no axis 2 in shape [2,3]"},
      {[&] { x.size(-3); }, "size: no axis -3 in shape [2,3]"},
      {[] {
         Tensor::of<float>({2}, {1, 2, 3});
       },
       "Tensor::of: shape [2] holds 2 elements, got 3"},
      {[&] {
         x.reshape({-1, -1});
       },
       "reshape: only one size may be -1"},
      {[&] {
         x.reshape({4, -1});
       },
       "reshape: f32 [2,3] does not divide into groups of 4"},
      {[&] {
         x.reshape({0, -1});
       },
       "reshape: f32 [2,3] does not divide into groups of 0"},
      {[&] {
         x.reshape({2, 2});
       },
       "reshape: f32 [2,3] has 6 elements, [2,2] holds 4"},
      {[&] {
         x.reshape({-2, -3});
       },
       "shape: a size is not negative (got -2)"},
      {[] {
         ones({1, 1, 1, 1, 1, 1, 1, 1, 1});
       },
       "shape: a tensor has at most 8 axes"},
      {[&] { lain.fill_(1); }, "fill_: f32 [1,16,2,2] lies in a blocked layout, whose padding stays 0"},
      {[&] {
         x.copy_(ones({3, 2}));
       },
       "copy_: f32 [3,2] into f32 [2,3]"},
      {[&] { x.add_(ones({3})); }, "add_: f32 [2,3] and f32 [3]"},
      {[&] {
         x.add_(ones({2, 3}, DType::f64));
       },
       "add_: f32 [2,3] and f64 [2,3]"},
      {[&] { whole.add_(whole); }, "add_: needs a floating type, got i64 [3]"},
      {[&] { whole.mul_(2); }, "mul_: needs a floating type, got i64 [3]"},
      {[&] { leaf.mul_(2); },
       "mul_: a leaf that requires a gradient f32 [2,3] cannot be changed in place; do it under NoGrad, or use the op that "
       "returns a new tensor"},
      {[&] { result.copy_(x); },
       "copy_: the result of a recorded op f32 [2,3] cannot be changed in place; do it under NoGrad, or use the op that "
       "returns "
       "a new tensor"},
      {[&] { x.add_(leaf); },
       "add_: f32 [2,3] requires a gradient, which a change in place would lose; detach() it, or use the op that returns a new "
       "tensor"},
      {[&] { x.copy_(result); },
       "copy_: f32 [2,3] requires a gradient, which a change in place would lose; detach() it, or use the op that returns a "
       "new "
       "tensor"},
      {[&] { whole.set_requires_grad(); }, "set_requires_grad: only floating tensors have gradients, not i64 [3]"},
      {[&] { result.set_requires_grad(); }, "set_requires_grad: f32 [2,3] is the result of mul, not a leaf; detach() it first"},
      {[&] { x.set_grad(ones({3})); }, "set_grad: f32 [3] for a tensor of f32 [2,3]"},
      {[&] {
         x.set_grad(ones({2, 3}, DType::f64));
       },
       "set_grad: f64 [2,3] for a tensor of f32 [2,3]"},
  });
  CHECK(x.to_vector<int>() == std::vector<int>(6, 1));
  CHECK(whole.to_vector<int>() == std::vector<int>(3, 0));
}

TEST_CASE("tensor: under NoGrad, and from what is detached, changes in place go through") {
  Tensor leaf = ones({2}).set_requires_grad(), x = zeros({2});
  x.add_(leaf.detach(), 3);
  CHECK(x.to_vector<int>() == std::vector<int>{3, 3});
  NoGrad none;
  x.copy_(leaf);
  leaf.mul_(4);
  CHECK(x.add_(leaf).to_vector<int>() == std::vector<int>{5, 5});
}

TEST_CASE("tensor: bf16 is added and scaled in place, each result rounded once") {
  Tensor x = Tensor::of<bf16>({3}, {bf16(1), bf16(256), bf16(-3)}), y = Tensor::of<bf16>({3}, {bf16(0.5), bf16(1), bf16(2)});
  x.add_(y, 3);  // 259 lies between 258 and 260: to even
  CHECK(x.to_vector<double>() == std::vector<double>{2.5, 260, 3});
  CHECK(x.mul_(0.5).to_vector<double>() == std::vector<double>{1.25, 130, 1.5});
}

TEST_CASE("tensor: in-place changes reach every element of a blocked layout and leave its padding 0") {
  const Shape shape{2, 20, 3, 1};
  for (DType type : {DType::f32, DType::bf16}) {
    Tensor x = reorder(ones(shape, type), blocked_layout(16));
    x.add_(full(shape, 2, type), 1.5);
    x.mul_(3);
    CHECK(sum(not_equal(x, full(shape, 12, type))).item() == 0);
    const int64_t held = int64_t(x.storage()->bytes() / size_of(type));
    CHECK(held == 2 * 32 * 3);
    double total = 0;
    visit(type, [&](auto zero) {
      for (int64_t i = 0; i < held; ++i) total += double(float(static_cast<const decltype(zero)*>(x.raw())[i]));
    });
    CHECK(total == 12 * 2 * 20 * 3);
    x.fill_(0);
    CHECK(sum(abs(x)).item() == 0);
  }
}
