#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/ops.h"

using namespace az;

namespace {

struct Misuse {
  std::function<void()> call;
  std::string message;
};

std::string message_of(const Misuse& misuse) {
  try {
    misuse.call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Tensor f32(const Shape& shape) { return ones(shape); }
Tensor f64(const Shape& shape) { return ones(shape, DType::f64); }
Tensor i64(const Shape& shape, const std::vector<int64_t>& values) { return Tensor::of<int64_t>(shape, values); }

}  // namespace

TEST_CASE("ops: every misuse is answered with the op, what it got and what it wants") {
  Tensor x = f32({2, 3}), u8 = zeros({2, 3}, DType::u8), classes = i64({2}, {0, 1});
  const std::vector<Misuse> misuses = {
      {[&] { add(x, f32({4})); }, "add: shapes [2,3] and [4] do not broadcast"},
      {[&] {
         mul(x, f64({2, 3}));
       },
       "mul: f32 [2,3] and f64 [2,3]: number types differ; convert one with to()"},
      {[&] {
         less(x, f64({2, 3}));
       },
       "less: f32 [2,3] and f64 [2,3]: number types differ; convert one with to()"},
      {[&] { add(u8, u8); }, "add: u8 has no arithmetic; convert with to()"},
      {[&] { div(classes, classes); }, "div: needs floating types, got i64 [2] and i64 [2]"},
      {[&] { exp(classes); }, "exp: needs a floating type, got i64 [2]; convert with to()"},
      {[&] { relu(u8); }, "relu: needs a floating type, got u8 [2,3]; convert with to()"},
      {[&] { where(x, x, x); }, "where: the mask is f32 [2,3], not u8"},
      {[&] { clamp(x, {.min = 2, .max = 1}); }, "clamp: min 2 is above max 1"},
      {[&] {
         sum(x, {{0, -2}});
       },
       "sum: axis -2 is named twice"},
      {[&] { sum(x, {{2}}); }, "sum: no axis 2 in shape [2,3]"},
      {[&] { mean(classes); }, "mean: needs a floating type, got i64 [2]; convert with to()"},
      {[&] {
         max(f32({2, 0}), {{1}});
       },
       "max: no elements to choose from in f32 [2,0]"},
      {[&] {
         argmax(f32({2, 0}), 1);
       },
       "argmax: no elements to choose from in f32 [2,0]"},
      {[&] { topk(x, 4); }, "topk: k is 4, the last axis of f32 [2,3] has 3"},
      {[&] { topk(f32({}), 0); }, "topk: f32 [] has no axis to choose from"},
      {[&] { topk(f32({}), 1); }, "topk: f32 [] has no axis to choose from"},
      {[&] { sum_to(x, {2}); }, "sum_to: f32 [2,3] does not come from broadcasting [2]"},
      {[&] {
         sum_to(x, {1, 2, 3});
       },
       "sum_to: f32 [2,3] does not come from broadcasting [1,2,3]"},
      {[&] {
         broadcast_to(x, {2, 1});
       },
       "broadcast_to: f32 [2,3] does not broadcast to [2,1]"},
      {[&] {
         permute(x, {0, 0});
       },
       "permute: axis 0 is named twice"},
      {[&] { permute(x, {0}); }, "permute: 1 axes for f32 [2,3]"},
      {[&] { transpose(classes); }, "transpose: needs at least 2 axes, got i64 [2]"},
      {[&] { concat({}, 0); }, "concat: no tensors given"},
      {[&] {
         concat({x, f32({2, 4})}, 0);
       },
       "concat: f32 [2,3] and f32 [2,4] differ off axis 0"},
      {[&] {
         concat({x, f64({2, 3})}, 0);
       },
       "concat: f32 [2,3] and f64 [2,3] differ off axis 0"},
      {[&] {
         concat({x, f32({2})}, 1);
       },
       "concat: f32 [2,3] and f32 [2] differ off axis 1"},
      {[&] {
         stack({x, f32({3, 2})}, 0);
       },
       "stack: f32 [2,3] and f32 [3,2] differ"},
      {[&] {
         stack({x, x}, 3);
       },
       "stack: no place 3 among the axes of f32 [2,3]"},
      {[&] { slice(x, {.axis = 0, .step = 0}); }, "slice: step is 0, must be 1 or more"},
      {[&] { pad(x, {.before = {1}, .after = {1}}); }, "pad: 1 sizes before and 1 after, for f32 [2,3]"},
      {[&] {
         pad(x, {.before = {1, -1}, .after = {1, 0}});
       },
       "pad: a size on axis 1 is negative"},
      {[&] {
         index_select(x, i64({2}, {0, 3}), 1);
       },
       "index_select: index 3 at position 1 is outside axis 1 of f32 [2,3]"},
      {[&] {
         index_select(x, i64({2}, {0, -1}), 0);
       },
       "index_select: index -1 at position 1 is outside axis 0 of f32 [2,3]"},
      {[&] { index_select(x, x, 0); }, "index_select: the indices are f32 [2,3], not one axis"},
      {[&] { index_select(x, f32({2}), 0); }, "index_select: the indices are f32 [2], not i64"},
      {[&] { gather(x, classes, 1); }, "gather: indices i64 [2] and f32 [2,3] differ off axis 1"},
      {[&] { matmul(x, x); }, "matmul: 3 columns times 2 rows (a [2,3], b [2,3])"},
      {[&] { matmul(x, f32({3})); }, "matmul: needs at least 2 axes each, got f32 [2,3] and f32 [3]"},
      {[&] {
         matmul(x, f64({3, 2}));
       },
       "matmul: needs two f32 or two f64 tensors, got f32 [2,3] and f64 [3,2]"},
      {[&] {
         matmul(f32({2, 1, 3}), f32({4, 3, 1}));
       },
       "matmul: shapes [2] and [4] do not broadcast"},
      {[&] {
         linear(x, f32({5, 4}), {});
       },
       "linear: input [2,3] does not fit weight [5,4] (want [n,in] and [out,in])"},
      {[&] {
         linear(x, f32({5, 3}), f32({4}));
       },
       "linear: bias f32 [4] does not fit weight f32 [5,3]"},
      {[&] { softmax(x, 2); }, "softmax: no axis 2 in shape [2,3]"},
      {[&] {
         cross_entropy(x, i64({2}, {0, 12}));
       },
       "cross_entropy: label 12 at row 1 is outside 0..2 (3 classes)"},
      {[&] {
         cross_entropy(x, i64({2}, {2, 3}));
       },
       "cross_entropy: label 3 at row 1 is outside 0..2 (3 classes)"},
      {[&] {
         cross_entropy(x, i64({2}, {-1, 0}));
       },
       "cross_entropy: label -1 at row 0 is outside 0..2 (3 classes)"},
      {[&] { cross_entropy(x, i64({1}, {0})); },
       "cross_entropy: logits f32 [2,3] and target i64 [1]; want [n,c] with i64 [n] or floating [n,c]"},
      {[&] { cross_entropy(x, u8); },
       "cross_entropy: logits f32 [2,3] and target u8 [2,3]; want [n,c] with i64 [n] or floating [n,c]"},
      {[&] { cross_entropy(x, classes, {.label_smoothing = 1.5}); },
       "cross_entropy: label_smoothing is 1.5, must be from 0 to 1"},
      {[&] { mse_loss(x, f32({3})); }, "mse_loss: prediction f32 [2,3] and target f32 [3] differ"},
      {[&] {
         group_norm(f32({2, 6, 4}), {}, {}, {.groups = 4});
       },
       "group_norm: 6 channels do not divide into 4 groups"},
      {[&] {
         group_norm(f32({2, 6, 4}), f32({5}), {}, {.groups = 3});
       },
       "group_norm: gamma is f32 [5], want [6] for input [2,6,4]"},
      {[&] { layer_norm(x, f32({2}), {}); }, "layer_norm: gamma is f32 [2], want [3] for input [2,3]"},
      {[&] {
         layer_norm(x, f32({1, 2, 3}), {});
       },
       "layer_norm: 3 axes to normalise in input f32 [2,3]"},
      {[&] {
         group_norm(f32({2, 6, 4}).to(DType::bf16), f32({6}).to(DType::bf16), {}, {.groups = 3});
       },
       "group_norm: input is bf16, so gamma and beta are f32, not bf16"},
      {[&] {
         group_norm(i64({2}, {0, 1}).to(DType::bf16), {}, {}, {});
       },
       "group_norm: needs [n,c,...], got bf16 [2]"},
      {[&] { layer_norm(x.to(DType::bf16), {}, f64({3})); }, "layer_norm: input is bf16, so gamma and beta are f32, not f64"},
      {[&] { layer_norm(x, f64({3}), {}); }, "layer_norm: input is f32, so gamma and beta are f32, not f64"},
      {[&] { dropout(x, 1.5); }, "dropout: probability is 1.5, must be from 0 to 1"},
      {[&] { dropout(classes, 0.5); }, "dropout: needs a floating type, got i64 [2]"},
      {[&] { arange({.end = 3, .step = 0}); }, "arange: step is 0"},
      {[&] { randn({2}, DType::i64); }, "randn: needs a floating type, got i64"},
      {[&] { uniform({2}, {.low = 1, .high = 1}); }, "uniform: low 1 is not below high 1"},
  };
  for (const Misuse& misuse : misuses) CHECK(message_of(misuse) == misuse.message);
}

TEST_CASE("ops: a message starts with the path of the module") {
  std::string path = "layer1.0";
  Scope scope(path);
  CHECK(message_of({[] { add(f32({2}), f32({3})); }, ""}) == "layer1.0: add: shapes [2] and [3] do not broadcast");
}
