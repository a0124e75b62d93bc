#include "core/kernels/reference.h"

#include <algorithm>
#include <cmath>

#include "core/base/threads.h"

namespace az::reference {
namespace {

// The windows of one group of one image as a matrix [c * kh * kw, h' * w'], for convolution as a product. `first` and `lines`
// say for which of the result's h' lines.
struct Windows {
  const Conv2dShape& s;
  int64_t channels, outputs;  // of a group
  int64_t first = 0, lines;

  explicit Windows(const Conv2dShape& shape)
      : s(shape), channels(shape.x.c / shape.params.groups), outputs(shape.y.c / shape.params.groups), lines(shape.y.h) {}
  int64_t rows() const { return channels * s.kernel.h * s.kernel.w; }
  int64_t columns() const { return lines * s.y.w; }
  // Elements before a group of an image of x, before its lines in y, and before the group's weights.
  int64_t in_x(int64_t image, int64_t group) const { return (image * s.params.groups + group) * channels * s.x.plane(); }
  int64_t in_y(int64_t image, int64_t group) const {
    return (image * s.params.groups + group) * outputs * s.y.plane() + first * s.y.w;
  }
  int64_t in_weight(int64_t group) const { return group * outputs * rows(); }

  // Calls f(element of the matrix, element of the image) for every tap that lies inside the image.
  template <class F> void each(F f) const {
    const Conv2dParams& p = s.params;
    int64_t row = 0;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < s.kernel.h; ++i) {
        for (int64_t j = 0; j < s.kernel.w; ++j, ++row) {
          for (int64_t y = 0; y < lines; ++y) {
            const int64_t in_y = (first + y) * p.stride.h - p.padding.h + i * p.dilation.h;
            if (in_y < 0 || in_y >= s.x.h) continue;
            for (int64_t x = 0; x < s.y.w; ++x) {
              const int64_t in_x = x * p.stride.w - p.padding.w + j * p.dilation.w;
              if (in_x >= 0 && in_x < s.x.w) f(row * columns() + y * s.y.w + x, (c * s.x.h + in_y) * s.x.w + in_x);
            }
          }
        }
      }
    }
  }
};

// Calls body(image, group, windows) for each of them in turn, a large image in parts, so that the matrix stays within 32 MiB
// where one line does; products run on all threads.
template <class Body> void each_part(const Conv2dShape& shape, Body body) {
  constexpr int64_t most = int64_t(1) << 22;
  Windows part(shape);
  const int64_t lines = std::clamp<int64_t>(most / std::max<int64_t>(part.rows() * shape.y.w, 1), 1, shape.y.h);
  for (int64_t image = 0; image < shape.x.n; ++image) {
    for (int64_t group = 0; group < shape.params.groups; ++group) {
      for (part.first = 0; part.first < shape.y.h; part.first += lines) {
        part.lines = std::min(lines, shape.y.h - part.first);
        body(image, group, part);
      }
    }
  }
}

// The matrix of windows of an image.
void gather(const Windows& win, const double* image, std::vector<double>& matrix) {
  matrix.assign(size_t(win.rows() * win.columns()), 0.0);
  win.each([&](int64_t element, int64_t pixel) { matrix[size_t(element)] = image[pixel]; });
}

// Calls body(c, each) for the channels in parallel, where each(f) calls f(element) for all elements of channel c, in order.
template <class Body> void each_channel(const ImageShape& s, Body body) {
  parallel_for(s.c, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      body(c, [&s, c](auto f) {
        for (int64_t n = 0; n < s.n; ++n) {
          const int64_t first = (n * s.c + c) * s.plane();
          for (int64_t i = first; i < first + s.plane(); ++i) f(i);
        }
      });
    }
  });
}

}  // namespace

void conv2d(const Conv2dShape& shape, const Conv2dArrays& a, Gemm gemm) {
  std::vector<double> matrix;
  each_part(shape, [&](int64_t image, int64_t group, const Windows& win) {
    gather(win, a.x + win.in_x(image, group), matrix);
    gemm(false, false, win.outputs, win.columns(), win.rows(), 1.0, a.weight + win.in_weight(group), win.rows(), matrix.data(),
         win.columns(), 0.0, a.y + win.in_y(image, group), shape.y.plane());
  });
  const bool affine = a.scale || a.bias;
  if (!affine && !a.residual && !a.relu) return;
  each_channel(shape.y, [&](int64_t c, auto each) {
    const double factor = a.scale ? a.scale[c] : 1, shift = a.bias ? a.bias[c] : 0;
    each([&](int64_t i) {
      double y = a.y[i];
      if (affine) y = y * factor + shift;
      if (a.residual) y += a.residual[i];
      a.y[i] = a.relu && y < 0 ? 0 : y;  // NaN stays
    });
  });
}

void conv2d_backward_data(const Conv2dShape& shape, const double* g, const double* weight, double* dx, Gemm gemm) {
  std::fill_n(dx, shape.x.planes() * shape.x.plane(), 0.0);
  std::vector<double> matrix;
  each_part(shape, [&](int64_t image, int64_t group, const Windows& win) {
    matrix.resize(size_t(win.rows() * win.columns()));
    gemm(true, false, win.rows(), win.columns(), win.outputs, 1.0, weight + win.in_weight(group), win.rows(),
         g + win.in_y(image, group), shape.y.plane(), 0.0, matrix.data(), win.columns());
    double* into = dx + win.in_x(image, group);
    win.each([&](int64_t element, int64_t pixel) { into[pixel] += matrix[size_t(element)]; });
  });
}

void conv2d_backward_weights(const Conv2dShape& shape, const Conv2dGradientArrays& a, Gemm gemm) {
  std::fill_n(a.dweight, shape.params.groups * Windows(shape).in_weight(1), 0.0);
  std::vector<double> matrix;
  each_part(shape, [&](int64_t image, int64_t group, const Windows& win) {
    gather(win, a.x + win.in_x(image, group), matrix);
    gemm(false, true, win.outputs, win.rows(), win.columns(), 1.0, a.g + win.in_y(image, group), shape.y.plane(), matrix.data(),
         win.columns(), 1.0, a.dweight + win.in_weight(group), win.rows());
  });
  if (!a.dbias) return;
  each_channel(shape.y, [&](int64_t c, auto each) {
    a.dbias[c] = 0;
    each([&](int64_t i) { a.dbias[c] += a.g[i]; });
  });
}

namespace {

// The mean and the variance of one channel, in long double: f64 has too few digits for a small variance beside a large mean.
struct Moments {
  long double mean = 0, variance = 0;
};

template <class Each> Moments moments_of(const double* x, const ImageShape& shape, Each each) {
  const auto count = static_cast<long double>(shape.values());
  Moments moments;
  each([&](int64_t i) { moments.mean += x[i]; });
  moments.mean /= count;
  each([&](int64_t i) { moments.variance += (x[i] - moments.mean) * (x[i] - moments.mean) / count; });
  return moments;
}

Moments given(const BatchNormStatistics& statistics, size_t c) { return {statistics.mean[c], statistics.var[c]}; }

}  // namespace

BatchNormStatistics batch_norm(const BatchNormArrays<double>& a, const ImageShape& shape, const BatchNormChannels& channels,
                               bool training) {
  BatchNormStatistics by = channels.statistics;
  by.mean.resize(size_t(shape.c));
  by.var.resize(size_t(shape.c));
  each_channel(shape, [&](int64_t channel, auto each) {
    const auto c = size_t(channel);
    const Moments moments = training ? moments_of(a.x, shape, each) : given(by, c);
    by.mean[c] = double(moments.mean);
    by.var[c] = double(moments.variance);
    const long double scale = channels.gamma[c] / std::sqrt(moments.variance + channels.eps);
    each([&](int64_t i) {
      const auto y = double((a.x[i] - moments.mean) * scale + channels.beta[c] + (a.residual ? a.residual[i] : 0));
      a.y[i] = a.relu && y < 0 ? 0 : y;
    });
  });
  return by;
}

BatchNormChannelGradients batch_norm_backward(const BatchNormGradientArrays<double>& a, const ImageShape& shape,
                                              const BatchNormChannels& channels, bool training) {
  BatchNormChannelGradients result{std::vector<double>(size_t(shape.c)), std::vector<double>(size_t(shape.c))};
  const auto count = static_cast<long double>(shape.values());
  each_channel(shape, [&](int64_t channel, auto each) {
    const auto c = size_t(channel);
    const Moments moments = training ? moments_of(a.x, shape, each) : given(channels.statistics, c);
    const long double deviation = std::sqrt(moments.variance + channels.eps), rstd = 1 / deviation;
    const long double scale = channels.gamma[c] / deviation;
    const auto normalised = [&](int64_t i) { return (a.x[i] - moments.mean) * rstd; };
    long double sum = 0, product = 0;
    each([&](int64_t i) {
      const double g = a.more ? a.g[i] + a.more[i] : a.g[i];
      const double y = a.y ? a.y[i] : double((a.x[i] - moments.mean) * scale + channels.beta[c]);
      a.passed[i] = !a.relu || y > 0 ? g : 0;
      sum += a.passed[i];
      product += a.passed[i] * normalised(i);
    });
    each([&](int64_t i) {
      const long double through = training ? (sum + normalised(i) * product) / count : 0;
      a.dx[i] = double(channels.gamma[c] * rstd * (a.passed[i] - through));
    });
    result.gamma[c] = double(product);
    result.beta[c] = double(sum);
  });
  return result;
}

namespace {

// Calls body(result element, each) for every element of y, where each(f) calls f(element of x) for all in its window.
template <class Body> void each_window(const Pool2dShape& s, Body body) {
  const Pool2dParams& p = s.params;
  for (int64_t plane = 0, out = 0; plane < s.y.planes(); ++plane) {
    for (int64_t i = 0; i < s.y.h; ++i) {
      for (int64_t j = 0; j < s.y.w; ++j, ++out) {
        const int64_t top = i * p.stride.h - p.padding.h, left = j * p.stride.w - p.padding.w;
        body(out, [&](auto f) {
          for (int64_t a = std::max<int64_t>(top, 0); a < std::min(top + p.kernel.h, s.x.h); ++a) {
            for (int64_t b = std::max<int64_t>(left, 0); b < std::min(left + p.kernel.w, s.x.w); ++b)
              f((plane * s.x.h + a) * s.x.w + b);
          }
        });
      }
    }
  }
}

double area(const Pool2dShape& s) { return double(s.params.kernel.h * s.params.kernel.w); }

}  // namespace

void max_pool(const Pool2dShape& shape, const double* x, double* y, int64_t* indices) {
  each_window(shape, [&](int64_t o, auto each) {
    int64_t best = -1;
    each([&](int64_t i) {
      if (best < 0 || x[i] > x[best] || x[i] != x[i]) best = i;  // NaN wins
    });
    y[o] = x[best];
    indices[o] = best;
  });
}

void max_pool_backward(const Pool2dShape& shape, const double* g, const int64_t* indices, double* dx) {
  std::fill_n(dx, shape.x.planes() * shape.x.plane(), 0.0);
  for (int64_t o = 0; o < shape.y.planes() * shape.y.plane(); ++o) dx[indices[o]] += g[o];
}

void avg_pool(const Pool2dShape& shape, const double* x, double* y) {
  each_window(shape, [&](int64_t o, auto each) {
    double total = 0;
    each([&](int64_t i) { total += x[i]; });
    y[o] = total / area(shape);
  });
}

void avg_pool_backward(const Pool2dShape& shape, const double* g, double* dx) {
  std::fill_n(dx, shape.x.planes() * shape.x.plane(), 0.0);
  each_window(shape, [&](int64_t o, auto each) { each([&](int64_t i) { dx[i] += g[o] / area(shape); }); });
}

}  // namespace az::reference
