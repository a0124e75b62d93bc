#include "core/backend/onednn/conv_trial.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/base/simd.h"

namespace az::onednn {
namespace {

// +1 and -1 at random, and 0 but for about this share.
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

// As drawn, but with the signs of its channels, of `plane` elements each, and numbers up to `most` in size.
void take_signs(const Tensor& x, const std::vector<double>& signs, int64_t plane, float most) {
  auto* values = static_cast<float*>(x.raw());
  for (int64_t i = 0, count = x.numel(); i < count; ++i) {
    const float size = values[i] > 0 ? 1 : values[i] < 0 ? most : 0;
    values[i] = size * float(signs[size_t(i / plane) % signs.size()]);
  }
}

// The results' lines, or columns, whose tap lies inside an image that starts so many before it.
struct Span {
  int64_t first, last;
  Span(int64_t in, int64_t out, int64_t before, int64_t stride) {
    first = before > 0 ? (before + stride - 1) / stride : 0;
    last = in - 1 + before < 0 ? 0 : std::min(out, (in - 1 + before) / stride + 1);
  }
};

// Calls body(k, y, x, count) for tap k of a plane's kernel and all that it meets: `count` elements of y's plane from there on,
// and as many of x's, a stride apart.
template <class Body> void each_line(const ConvProblem& p, Body body) {
  const Conv2dParams& c = p.params;
  for (int64_t i = 0; i < p.weight[2]; ++i) {
    const int64_t above = c.padding.h - i * c.dilation.h;
    const Span lines(p.x[2], p.y[2], above, c.stride.h);
    for (int64_t j = 0; j < p.weight[3]; ++j) {
      const int64_t before = c.padding.w - j * c.dilation.w;
      const Span columns(p.x[3], p.y[3], before, c.stride.w);
      for (int64_t line = lines.first; line < lines.last && columns.first < columns.last; ++line) {
        body(i * p.weight[3] + j, line * p.y[3] + columns.first,
             (line * c.stride.h - above) * p.x[3] + columns.first * c.stride.w - before, columns.last - columns.first);
      }
    }
  }
}

AZ_MULTIVERSION void add_scaled(int64_t count, double by, const float* from, int64_t step, double* to, int64_t to_step) {
  if (step == 1 && to_step == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] += by * double(from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_step] += by * double(from[i * step]);
  }
}

double product(int64_t count, const double* a, const float* b, int64_t step) {
  double sums[4] = {};
  for (int64_t i = 0; i < count; ++i) sums[i % 4] += a[i] * double(b[i * step]);
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// The planes of x [n,channels,plane], each times its channel's factor, summed over the channels of each group:
// [n,groups,plane].
std::vector<double> summed(const Tensor& x, int64_t images, int64_t groups, const std::vector<double>& factors) {
  const auto channels = int64_t(factors.size()), each = channels / groups;
  const int64_t plane = x.numel() == 0 ? 0 : x.numel() / images / channels;
  std::vector<double> sums(size_t(images * groups * plane));
  visit(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* values = x.data<T>();
    parallel_for(images * groups, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> wide(size_t(plane), 0.0F);
      for (int64_t part = begin; part < end; ++part) {
        for (int64_t c = 0; c < each; ++c) {
          const T* from = values + (part * each + c) * plane;
          for (int64_t i = 0; i < plane; ++i) wide[size_t(i)] = float(from[i]);
          add_scaled(plane, factors[size_t(part % groups * each + c)], wide.data(), 1, sums.data() + part * plane, 1);
        }
      }
    });
  });
  return sums;
}

// The sizes that the sums below go through.
struct Sizes {
  int64_t n, groups, outputs, inputs, taps, in, out;  // outputs and inputs of a group
  explicit Sizes(const ConvProblem& p)
      : n(p.x[0]),
        groups(p.params.groups),
        outputs(p.weight[0] / groups),
        inputs(p.weight[1]),
        taps(p.weight[2] * p.weight[3]),
        in(p.x[2] * p.x[3]),
        out(p.y[2] * p.y[3]) {}
};

// Calls body(image and group) on all threads.
template <class Body> void each_part(const Sizes& s, Body body) {
  parallel_for(s.n * s.groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) body(part);
  });
}

std::vector<double> sums_of_y(const ConvProblem& p, const ConvTrial& t, const std::vector<double>& factors) {
  const Sizes s(p);
  const std::vector<double> w = summed(t.weight, 1, s.groups, factors);
  const std::vector<double> shift = p.bias ? summed(t.bias, 1, s.groups, factors) : std::vector<double>(size_t(s.groups));
  std::vector<double> sums =
      p.residual ? summed(t.then.residual, s.n, s.groups, factors) : std::vector<double>(size_t(s.n * s.groups * s.out));
  each_part(s, [&](int64_t part) {
    const int64_t group = part % s.groups;
    double* y = sums.data() + part * s.out;
    for (int64_t i = 0; i < s.out; ++i) y[i] += shift[size_t(group)];
    for (int64_t c = 0; c < s.inputs; ++c) {
      const double* kernel = w.data() + (group * s.inputs + c) * s.taps;
      const float* x = t.x.data<float>() + (part * s.inputs + c) * s.in;
      each_line(p, [&](int64_t k, int64_t to, int64_t from, int64_t count) {
        add_scaled(count, kernel[k], x + from, p.params.stride.w, y + to, 1);
      });
    }
  });
  return sums;
}

std::vector<double> sums_of_dx(const ConvProblem& p, const ConvTrial& t, const std::vector<double>& factors) {
  const Sizes s(p);
  std::vector<double> w(size_t(p.weight[0] * s.taps)), sums(size_t(s.n * s.groups * s.in));
  const float* weight = t.weight.data<float>();
  for (int64_t o = 0; o < p.weight[0]; ++o) {
    for (int64_t c = 0; c < s.inputs; ++c) {
      add_scaled(s.taps, factors[size_t(o / s.outputs * s.inputs + c)], weight + (o * s.inputs + c) * s.taps, 1,
                 w.data() + o * s.taps, 1);
    }
  }
  each_part(s, [&](int64_t part) {
    for (int64_t o = 0; o < s.outputs; ++o) {
      const double* kernel = w.data() + (part % s.groups * s.outputs + o) * s.taps;
      const float* g = t.g.data<float>() + (part * s.outputs + o) * s.out;
      each_line(p, [&](int64_t k, int64_t from, int64_t to, int64_t count) {
        add_scaled(count, kernel[k], g + from, 1, sums.data() + part * s.in + to, p.params.stride.w);
      });
    }
  });
  return sums;
}

std::vector<double> sums_of_dw(const ConvProblem& p, const ConvTrial& t, const std::vector<double>& factors) {
  const Sizes s(p);
  const std::vector<double> up = summed(t.g, s.n, s.groups, factors);
  std::vector<double> sums(size_t(s.groups * s.inputs * s.taps));
  parallel_for(s.groups * s.inputs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = 0; image < s.n; ++image) {
      for (int64_t c = begin; c < end; ++c) {
        const double* g = up.data() + (image * s.groups + c / s.inputs) * s.out;
        const float* x = t.x.data<float>() + (image * s.groups * s.inputs + c) * s.in;
        each_line(p, [&](int64_t k, int64_t with, int64_t from, int64_t count) {
          sums[size_t(c * s.taps + k)] += product(count, g + with, x + from, p.params.stride.w);
        });
      }
    }
  });
  return sums;
}

}  // namespace

ConvTrial::ConvTrial(const ConvProblem& p) : problem_(p) {
  const Sizes s(p);
  const bool of_y = p.direction == "forward", of_dx = p.direction == "backward_data";
  const int64_t terms = of_y ? s.inputs * s.taps : of_dx ? s.outputs * s.taps : s.n * s.out;
  // So many terms of a sum are not 0. 1,024 of +1 and -1 stay below 256, up to which bf16 holds whole numbers, as do 64 of one
  // sign up to 2 in size. Winograd's rounding grows with their number (measured with oneDNN's matrices: 2e-8 of it, times the
  // root of the channels that are summed), and is below 0.1 for 2,000 channels.
  const double most = p.relu ? 64 : p.type == DType::bf16 && (of_y || of_dx) ? 1024 : 32768;
  const double share = most / double(std::max<int64_t>(terms, 1));
  Philox generator(1);
  auto sign = [&] { return generator.bernoulli(0.5) ? 1.0 : -1.0; };
  for (int64_t i = 0; i < (of_dx ? p.x[1] : p.weight[0]); ++i) factors_.push_back(sign() * generator.uniform(1, 2));
  if (!of_dx) x = drawn(p.x, of_y ? share : 1, generator);
  if (!of_y) g = drawn(p.y, share, generator);
  if (of_y || of_dx) weight = drawn(p.weight, 1, generator);
  if (of_y && p.bias) bias = drawn({p.weight[0]}, 1, generator);
  if (of_y && p.residual) then.residual = drawn(p.y, 1, generator);
  std::vector<double> passed = factors_;  // of what ReLU lets pass: all terms of a channel have its sign, so that this is known
  if (p.relu) {
    std::vector<double> signs;
    for (double& factor : passed) {
      signs.push_back(sign());
      if (signs.back() < 0) factor = 0;
    }
    take_signs(x, {1}, s.in, 1);
    take_signs(weight, signs, s.inputs * s.taps, 2);
    if (p.bias) take_signs(bias, signs, 1, 2);
    if (p.residual) take_signs(then.residual, signs, s.out, 2);
  }
  sums_ = of_y ? sums_of_y(p, *this, passed) : of_dx ? sums_of_dx(p, *this, factors_) : sums_of_dw(p, *this, factors_);
  if (p.bias && !of_y) {
    bias_sums_.resize(size_t(p.weight[0]));
    const float* values = g.data<float>();
    for (int64_t i = 0, count = g.numel(); i < count; ++i) bias_sums_[size_t(i / s.out % p.weight[0])] += double(values[i]);
  }
  then.relu = p.relu;
  for (Tensor* operand : {&x, &g, &then.residual}) {
    if (operand->defined()) *operand = operand->to(p.type);
  }
}

bool ConvTrial::agrees(const std::string& implementation, const Tensor& result, int64_t images) const {
  const std::vector<double> found = summed(result.plain(), images, problem_.params.groups, factors_);
  const double tolerance = is_winograd(implementation) ? 0.25 : 1e-3;
  return std::ranges::equal(found, sums_, [&](double a, double b) { return std::abs(a - b) <= tolerance; });  // NaN does not
}

bool ConvTrial::is_right(const std::string& implementation, const Tensor& result) const {
  return agrees(implementation, result, problem_.x[0]);
}

bool ConvTrial::is_right(const std::string& implementation, const ConvWeightGradients& result) const {
  if (!agrees(implementation, result.weight, 1)) return false;
  return !problem_.bias || std::ranges::equal(result.bias.to_vector<float>(), bias_sums_);
}

}  // namespace az::onednn
