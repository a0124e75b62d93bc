#include "core/ops/matmul.h"

#include "core/autograd/autograd.h"
#include "core/backend/blas.h"
#include "core/base/threads.h"
#include "core/kernels/strided.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace az {
namespace {

enum Side : bool { as_is = false, transposed = true };

// Rows and columns of the last two axes, after the transposition.
int64_t rows(const Tensor& x, Side side) { return x.size(side ? -1 : -2); }
int64_t columns(const Tensor& x, Side side) { return x.size(side ? -2 : -1); }

Shape leading(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }

template <class T> void multiply_into(const Tensor& a, Side side_a, const Tensor& b, Side side_b, const Tensor& result) {
  int64_t m = rows(a, side_a), n = columns(b, side_b), k = columns(a, side_a);
  Shape batch = leading(result);
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* pc = result.mutable_data<T>();
  Walk walk(batch, {broadcast_strides(leading(a), batch), broadcast_strides(leading(b), batch), batch.strides()});
  auto run = [&](const Walk::Offsets& at, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      gemm(side_a, side_b, m, n, k, T(1), pa + (at[0] + i * walk.step[0]) * m * k, a.size(-1),
           pb + (at[1] + i * walk.step[1]) * k * n, b.size(-1), T(0), pc + (at[2] + i * walk.step[2]) * m * n, n);
    }
  };
  // Whole products are shared out when there is one a thread or more; otherwise each runs on all threads.
  int64_t small = std::max<int64_t>(1, (1 << 18) / (m * n * k));
  walk.run(run, batch.numel() < thread_count() ? batch.numel() : small);
}

// Rows of a and columns of b are the last two axes of the result, which has so many; those that are summed over go.
Homogeneity homogeneity_of(const Tensor& a, Side side_a, const Tensor& b, Side side_b, int rank) {
  Homogeneity word = Homogeneity::product();
  for (auto [x, kept, input] : {std::tuple{&a, side_a ? -1 : -2, 0}, std::tuple{&b, side_b ? -2 : -1, 1}}) {
    auto& axes = word.inputs[size_t(input)].axes;
    for (int axis = 0; axis < x->rank() - 2; ++axis) axes.push_back(axis + rank - x->rank());
    for (int axis : {-2, -1}) axes.push_back(axis == kept ? rank - 2 + input : -1);
  }
  return word;
}

// op(a) op(b), of the last two axes. The gradient of C = A B is dA = dC B^T, dB = A^T dC, transposed when the factor was.
Tensor multiply(const char* op, const Tensor& a, Side side_a, const Tensor& b, Side side_b) {
  Shape shape = broadcast(leading(a), leading(b), op);
  shape.push_back(rows(a, side_a));
  shape.push_back(columns(b, side_b));
  Tensor pa = a.plain(), pb = b.plain(), value = Tensor::empty(shape, a.dtype());
  if (value.numel() * columns(a, side_a) == 0)
    value.fill_(0);
  else if (a.dtype() == DType::f64)
    multiply_into<double>(pa, side_a, pb, side_b, value);
  else
    multiply_into<float>(pa, side_a, pb, side_b, value);
  return record(
      op, value, {pa, pb}, saved(pa, pb), ByOps{[side_a, side_b](const Back& k) {
        const Tensor &x = k.saved[0], &y = k.saved[1];
        Tensor dx, dy;
        if (k.needs(0))
          dx = side_a ? multiply("matmul", y, side_b, k.g, transposed) : multiply("matmul", k.g, as_is, y, Side(!side_b));
        if (k.needs(1))
          dy = side_b ? multiply("matmul", k.g, transposed, x, side_a) : multiply("matmul", x, Side(!side_a), k.g, as_is);
        return Grads{dx, dy};
      }},
      homogeneity_of(pa, side_a, pb, side_b, shape.rank()));
}

void check_types(const char* op, const Tensor& a, const Tensor& b) {
  bool known = a.dtype() == DType::f32 || a.dtype() == DType::f64;
  if (a.dtype() != b.dtype() || !known)
    fail("{}: needs two f32 or two f64 tensors, got {} and {}", op, describe(a), describe(b));
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_types("matmul", a, b);
  if (a.rank() < 2 || b.rank() < 2) fail("matmul: needs at least 2 axes each, got {} and {}", describe(a), describe(b));
  if (a.size(-1) != b.size(-2)) {
    fail("matmul: {} columns times {} rows (a {}, b {})", a.size(-1), b.size(-2), a.shape().str(), b.shape().str());
  }
  if (b.rank() > 2 || a.rank() == 2) return multiply("matmul", a, as_is, b, as_is);
  // One matrix for the whole batch: one product, and a gradient that is never repeated over the batch.
  std::vector<int64_t> sizes(a.shape().begin(), a.shape().end());
  Tensor tall = a.reshape({leading(a).numel() * a.size(-2), a.size(-1)});
  sizes.back() = b.size(-1);
  return multiply("matmul", tall, as_is, b, as_is).reshape(sizes);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor input = x.dtype() == DType::bf16 ? x.to(weight.dtype()) : x.plain();
  check_types("linear", input, weight);
  if (x.rank() != 2 || weight.rank() != 2 || x.size(1) != weight.size(1)) {
    fail("linear: input {} does not fit weight {} (want [n,in] and [out,in])", x.shape().str(), weight.shape().str());
  }
  if (bias.defined() && (bias.rank() != 1 || bias.size(0) != weight.size(0) || bias.dtype() != weight.dtype())) {
    fail("linear: bias {} does not fit weight {}", describe(bias), describe(weight));
  }
  Tensor value;
  {
    NoGrad none;
    value = multiply("linear", input, as_is, weight, transposed);
    if (bias.defined()) value = value + bias;
  }
  static const Homogeneity homogeneity{
      Homogeneity::Says::terms, {{.axes = {0, -1}}, {.axes = {1, -1}}, {.term = 1, .axes = {1}}}, true};
  return record("linear", value, {input, weight, bias}, saved(input, weight), ByOps{[](const Back& k) {
                  return Grads{k.needs(0) ? multiply("linear", k.g, as_is, k.saved[1], as_is) : Tensor(),
                               k.needs(1) ? multiply("linear", k.g, transposed, k.saved[0], as_is) : Tensor(),
                               k.needs(2) ? sum(k.g, {{0}}) : Tensor()};
                }},
                homogeneity);
}

}  // namespace az
