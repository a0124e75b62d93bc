#include "core/backend/conv/trial.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/backend/kernel_arguments.h"
#include "core/base/random.h"
#include "core/kernels/conv_sums.h"
#include "core/kernels/vector.h"

namespace az {
namespace {

// Draws +1 and -1 at random for about this share of the elements, and 0 for the others.
Tensor drawn(const Shape& shape, double share, Philox& generator) {
  Tensor result = Tensor::empty(shape);
  float* values = result.mutable_data<float>();
  const int64_t count = result.numel();
  const int width = share < 1 ? 16 : 1;  // bits of a number
  const auto below = uint32_t(std::ceil(std::min(share, 1.0) * 0x8000));
  uint32_t bits = 0;
  for (int64_t i = 0, left = 0; i < count; ++i, left -= width, bits >>= width) {
    if (left == 0) {
      bits = generator.next_u32();
      left = 32;
    }
    values[i] = (bits >> 1 & 0x7fff) >= below ? 0.0F : bits & 1 ? 1.0F : -1.0F;
  }
  return result;
}

// Gives numbers that drawn() made the signs of their channels, of `plane` elements each; what was -1 gets the size `most`.
void take_signs(const Tensor& x, const std::vector<double>& signs, int64_t plane, float most) {
  auto* values = static_cast<float*>(x.raw());
  for (int64_t i = 0, count = x.numel(); i < count; ++i) {
    const float size = values[i] > 0 ? 1 : values[i] < 0 ? most : 0;
    values[i] = size * float(signs[size_t(i / plane) % signs.size()]);
  }
}

// 3x3 windows, each the product of a column and a row (a, b, c) of which b and a + c are multiples of 3, so that Winograd's
// F(4x4) transforms them, with sums that it divides by 24, to numbers of a few bits; none below 0 where `positive`.
Tensor drawn_windows(const Shape& shape, bool positive, Philox& generator) {
  using Line = std::array<float, 3>;
  static constexpr Line any[] = {{1, 3, -1}, {1, -3, -1}, {1, 3, 2},  {1, -3, 2},
                                 {2, 3, 1},  {2, -3, 1},  {2, 3, -2}, {2, -3, -2}};
  static constexpr Line above[] = {{1, 0, 2}, {1, 3, 2}, {2, 0, 1}, {2, 3, 1}};
  const auto line = [&] { return positive ? above[generator.integer(4)] : any[generator.integer(8)]; };
  Tensor result = Tensor::empty(shape);
  float* values = result.mutable_data<float>();
  for (int64_t at = 0, count = result.numel(); at < count; at += 9) {
    const Line column = line(), row = line();
    const float sign = positive || generator.bernoulli(0.5) ? 1 : -1;
    for (size_t k = 0; k < 9; ++k) values[at + int64_t(k)] = sign * column[k / 3] * row[k % 3];
  }
  return result;
}

const float* values_of(const Tensor& x) { return x.defined() ? x.data<float>() : nullptr; }

}  // namespace

ConvTrial::ConvTrial(const ConvProblem& p) : problem_(p) {
  const Conv2dShape shape = conv_shape(p.x, p.weight, p.y, p.params);
  const int64_t inputs = p.weight[1], outputs = p.weight[0] / p.params.groups, taps = p.weight[2] * p.weight[3];
  const bool of_y = p.direction == "forward", of_dx = p.direction == "backward_data";
  const int64_t terms = of_y ? inputs * taps : of_dx ? outputs * taps : shape.y.values();
  // So many terms of a sum are not 0. 1,024 of +1 and -1 stay below 256, up to which bf16 holds whole numbers, as do 64 of one
  // sign up to 2 in size. Winograd's rounding grows with their number (measured with oneDNN's matrices: 2e-8 of it, times the
  // root of the channels that are summed), and is below 0.1 for 2,000 channels.
  // What Winograd may compute with products of bf16 has windows of numbers up to 9 in size instead. Sums of 48 of them have a
  // standard deviation of 29, those of 32 of one sign a mean of 72 and a deviation of 18.
  const bool of_image_in_bf16 = p.type == DType::bf16 && (of_y || of_dx);
  const auto is_one = [](Size2 size) { return size.h == 1 && size.w == 1; };
  const bool has_windows = of_image_in_bf16 && p.weight[2] == 3 && p.weight[3] == 3 && p.params.groups == 1 &&
                           is_one(p.params.stride) && is_one(p.params.dilation);
  const double most = has_windows ? (p.relu ? 32 : 48) : p.relu ? 64 : of_image_in_bf16 ? 1024 : 32768;
  const double share = most / double(std::max<int64_t>(terms, 1));
  Philox generator(1);
  auto sign = [&] { return generator.bernoulli(0.5) ? 1.0 : -1.0; };
  for (int64_t i = 0; i < (of_dx ? p.x[1] : p.weight[0]); ++i) factors_.push_back(sign() * generator.uniform(1, 2));
  if (!of_dx) x = drawn(p.x, of_y ? share : 1, generator);
  if (!of_y) g = drawn(p.y, share, generator);
  if (of_y || of_dx) weight = has_windows ? drawn_windows(p.weight, p.relu, generator) : drawn(p.weight, 1, generator);
  if (of_y && p.bias) bias = drawn({p.weight[0]}, 1, generator);
  if (of_y && p.residual) then.residual = drawn(p.y, 1, generator);
  std::vector<double> passed = factors_;  // of what ReLU lets pass: all terms of a channel have its sign, so that this is known
  if (p.relu) {
    std::vector<double> signs;
    for (double& factor : passed) {
      signs.push_back(sign());
      if (signs.back() < 0) factor = 0;
    }
    take_signs(x, {1}, shape.x.plane(), 1);
    if (has_windows) {
      auto* values = static_cast<float*>(weight.raw());
      for (int64_t i = 0, count = weight.numel(); i < count; ++i) values[i] *= float(signs[size_t(i / (inputs * taps))]);
    } else {
      take_signs(weight, signs, inputs * taps, 2);
    }
    if (p.bias) take_signs(bias, signs, 1, 2);
    if (p.residual) take_signs(then.residual, signs, shape.y.plane(), 2);
  }
  if (of_y) {
    const conv_sums::Conv2dOperands operands{values_of(x), values_of(weight), values_of(bias), values_of(then.residual)};
    sums_ = conv_sums::of_y(shape, operands, passed);
  } else if (of_dx) {
    sums_ = conv_sums::of_dx(shape, values_of(g), values_of(weight), factors_);
  } else {
    sums_ = conv_sums::of_dw(shape, values_of(g), values_of(x), factors_);
  }
  if (p.bias && !of_y) {
    bias_sums_.resize(size_t(p.weight[0]));
    const float* values = g.data<float>();
    for (int64_t i = 0, count = g.numel(); i < count; ++i)
      bias_sums_[size_t(i / shape.y.plane() % p.weight[0])] += double(values[i]);
  }
  then.relu = p.relu;
  for (Tensor* operand : {&x, &g, &then.residual}) {
    if (operand->defined()) *operand = operand->to(p.type);
  }
}

bool ConvTrial::agrees(bool transforms, const Tensor& result, int64_t images) const {
  const Tensor plain = result.plain();
  const auto channels = int64_t(factors_.size());
  const int64_t plane = plain.numel() == 0 ? 0 : plain.numel() / images / channels;
  const std::vector<double> found = visit_lanes(plain.dtype(), [&](auto zero) {
    return conv_sums::over_channels(plain.data<decltype(zero)>(), images, problem_.params.groups, plane, factors_);
  });
  const double tolerance = transforms ? 0.25 : 1e-3;
  return std::ranges::equal(found, sums_, [&](double a, double b) { return std::abs(a - b) <= tolerance; });  // NaN does not
}

bool ConvTrial::is_right(bool transforms, const Tensor& result) const { return agrees(transforms, result, problem_.x[0]); }

bool ConvTrial::is_right(bool transforms, const ConvWeightGradients& result) const {
  if (!agrees(transforms, result.weight, 1)) return false;
  return !problem_.bias || std::ranges::equal(result.bias.to_vector<float>(), bias_sums_);
}

}  // namespace az
