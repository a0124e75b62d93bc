#include "core/kernels/conv_sums.h"

#include <algorithm>

#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/tensor/dtype.h"

namespace az::conv_sums {
namespace {

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
template <class Body> void each_line(const Conv2dShape& s, Body body) {
  const Conv2dParams& c = s.params;
  for (int64_t i = 0; i < s.kernel.h; ++i) {
    const int64_t above = c.padding.h - i * c.dilation.h;
    const Span lines(s.x.h, s.y.h, above, c.stride.h);
    for (int64_t j = 0; j < s.kernel.w; ++j) {
      const int64_t before = c.padding.w - j * c.dilation.w;
      const Span columns(s.x.w, s.y.w, before, c.stride.w);
      for (int64_t line = lines.first; line < lines.last && columns.first < columns.last; ++line) {
        body(i * s.kernel.w + j, line * s.y.w + columns.first,
             (line * c.stride.h - above) * s.x.w + columns.first * c.stride.w - before, columns.last - columns.first);
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

// The sizes that the sums go through.
struct Sizes {
  int64_t n, groups, outputs, inputs, taps, in, out;  // outputs and inputs of a group
  explicit Sizes(const Conv2dShape& s)
      : n(s.x.n),
        groups(s.params.groups),
        outputs(s.y.c / groups),
        inputs(s.x.c / groups),
        taps(s.kernel.h * s.kernel.w),
        in(s.x.plane()),
        out(s.y.plane()) {}
};

// Calls body(image and group) on all threads.
template <class Body> void each_part(const Sizes& s, Body body) {
  parallel_for(s.n * s.groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) body(part);
  });
}

}  // namespace

template <class T> std::vector<double> over_channels(const T* x, int64_t images, int64_t groups, int64_t plane,
                                                     const std::vector<double>& factors) {
  const int64_t each = int64_t(factors.size()) / groups;
  std::vector<double> sums(size_t(images * groups * plane));
  parallel_for(images * groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> wide(size_t(plane), 0.0F);
    for (int64_t part = begin; part < end; ++part) {
      for (int64_t c = 0; c < each; ++c) {
        const T* from = x + (part * each + c) * plane;
        for (int64_t i = 0; i < plane; ++i) wide[size_t(i)] = float(from[i]);
        add_scaled(plane, factors[size_t(part % groups * each + c)], wide.data(), 1, sums.data() + part * plane, 1);
      }
    }
  });
  return sums;
}
template std::vector<double> over_channels(const float*, int64_t, int64_t, int64_t, const std::vector<double>&);
template std::vector<double> over_channels(const bf16*, int64_t, int64_t, int64_t, const std::vector<double>&);

std::vector<double> of_y(const Conv2dShape& shape, const Conv2dOperands& operands, const std::vector<double>& factors) {
  const Sizes s(shape);
  const auto zeros = [](int64_t count) { return std::vector<double>(size_t(count)); };
  const std::vector<double> w = over_channels(operands.weight, 1, s.groups, s.inputs * s.taps, factors);
  const std::vector<double> shift = operands.bias ? over_channels(operands.bias, 1, s.groups, 1, factors) : zeros(s.groups);
  std::vector<double> sums =
      operands.residual ? over_channels(operands.residual, s.n, s.groups, s.out, factors) : zeros(s.n * s.groups * s.out);
  each_part(s, [&](int64_t part) {
    const int64_t group = part % s.groups;
    double* y = sums.data() + part * s.out;
    for (int64_t i = 0; i < s.out; ++i) y[i] += shift[size_t(group)];
    for (int64_t c = 0; c < s.inputs; ++c) {
      const double* kernel = w.data() + (group * s.inputs + c) * s.taps;
      const float* x = operands.x + (part * s.inputs + c) * s.in;
      each_line(shape, [&](int64_t k, int64_t to, int64_t from, int64_t count) {
        add_scaled(count, kernel[k], x + from, shape.params.stride.w, y + to, 1);
      });
    }
  });
  return sums;
}

std::vector<double> of_dx(const Conv2dShape& shape, const float* g, const float* weight, const std::vector<double>& factors) {
  const Sizes s(shape);
  std::vector<double> w(size_t(shape.y.c * s.taps)), sums(size_t(s.n * s.groups * s.in));
  for (int64_t o = 0; o < shape.y.c; ++o) {
    for (int64_t c = 0; c < s.inputs; ++c) {
      add_scaled(s.taps, factors[size_t(o / s.outputs * s.inputs + c)], weight + (o * s.inputs + c) * s.taps, 1,
                 w.data() + o * s.taps, 1);
    }
  }
  each_part(s, [&](int64_t part) {
    for (int64_t o = 0; o < s.outputs; ++o) {
      const double* kernel = w.data() + (part % s.groups * s.outputs + o) * s.taps;
      const float* up = g + (part * s.outputs + o) * s.out;
      each_line(shape, [&](int64_t k, int64_t from, int64_t to, int64_t count) {
        add_scaled(count, kernel[k], up + from, 1, sums.data() + part * s.in + to, shape.params.stride.w);
      });
    }
  });
  return sums;
}

std::vector<double> of_dw(const Conv2dShape& shape, const float* g, const float* x, const std::vector<double>& factors) {
  const Sizes s(shape);
  const std::vector<double> up = over_channels(g, s.n, s.groups, s.out, factors);
  std::vector<double> sums(size_t(s.groups * s.inputs * s.taps));
  parallel_for(s.groups * s.inputs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = 0; image < s.n; ++image) {
      for (int64_t c = begin; c < end; ++c) {
        const double* with = up.data() + (image * s.groups + c / s.inputs) * s.out;
        const float* values = x + (image * s.groups * s.inputs + c) * s.in;
        each_line(shape, [&](int64_t k, int64_t at, int64_t from, int64_t count) {
          sums[size_t(c * s.taps + k)] += product(count, with + at, values + from, shape.params.stride.w);
        });
      }
    }
  });
  return sums;
}

}  // namespace az::conv_sums
