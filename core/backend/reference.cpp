#include "core/backend/reference.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/backend/blas.h"
#include "core/base/threads.h"

namespace az {
namespace {

// The windows of one group of one image as a matrix [c * kh * kw, h' * w'], for convolution as a product. `first` and `lines`
// say for which of the result's h' lines.
struct Windows {
  const Conv2dParams& p;
  int64_t channels, h, w, kh, kw, out_h, out_w, first, lines;

  int64_t rows() const { return channels * kh * kw; }
  int64_t columns() const { return lines * out_w; }
  int64_t plane() const { return out_h * out_w; }
  int64_t offset() const { return first * out_w; }

  // Calls f(element of the matrix, element of the image) for every tap that lies inside the image.
  template <class F> void each(F f) const {
    int64_t row = 0;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < kh; ++i) {
        for (int64_t j = 0; j < kw; ++j, ++row) {
          for (int64_t y = 0; y < lines; ++y) {
            int64_t in_y = (first + y) * p.stride.h - p.padding.h + i * p.dilation.h;
            if (in_y < 0 || in_y >= h) continue;
            for (int64_t x = 0; x < out_w; ++x) {
              int64_t in_x = x * p.stride.w - p.padding.w + j * p.dilation.w;
              if (in_x >= 0 && in_x < w) f(row * columns() + y * out_w + x, (c * h + in_y) * w + in_x);
            }
          }
        }
      }
    }
  }
};

Windows windows(const Shape& x, const Shape& weight, const Shape& y, const Conv2dParams& p) {
  return {p, weight[1], x[2], x[3], weight[2], weight[3], y[2], y[3], 0, y[2]};
}

// Calls body(image, group, windows) for each of them in turn, a large image in parts, so that the matrix stays within 32 MiB
// where one line does; products run on all threads.
template <class Body> void each_part(const Windows& all, int64_t images, Body body) {
  constexpr int64_t most = int64_t(1) << 22;
  const int64_t lines = std::clamp<int64_t>(most / std::max<int64_t>(all.rows() * all.out_w, 1), 1, all.out_h);
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t g = 0; g < all.p.groups; ++g) {
      Windows part = all;
      for (part.first = 0; part.first < all.out_h; part.first += lines) {
        part.lines = std::min(lines, all.out_h - part.first);
        body(n, g, part);
      }
    }
  }
}

// Calls body(n, channel, first element of that plane) over all planes of [n,c,h,w], channels in parallel.
template <class Body> void each_channel(const Shape& x, Body body) {
  int64_t plane = x[2] * x[3];
  parallel_for(x[1], 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) body(c, [&, c](int64_t n) { return (n * x[1] + c) * plane; });
  });
}

}  // namespace

Tensor Reference::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale,
                         const Conv2dParams& params, const Then& then, const Shape& result) {
  Tensor y = Tensor::empty(result, DType::f64);
  const Windows all = windows(x.shape(), weight.shape(), result, params);
  int64_t outputs = weight.size(0) / params.groups, in_size = all.channels * all.h * all.w;
  std::vector<double> columns;
  double* out = y.mutable_data<double>();
  each_part(all, x.size(0), [&](int64_t n, int64_t g, const Windows& win) {
    const double* in = x.data<double>() + (n * params.groups + g) * in_size;
    columns.assign(size_t(win.rows() * win.columns()), 0.0);
    win.each([&](int64_t column, int64_t pixel) { columns[size_t(column)] = in[pixel]; });
    gemm(false, false, outputs, win.columns(), win.rows(), 1.0, weight.data<double>() + g * outputs * win.rows(), win.rows(),
         columns.data(), win.columns(), 0.0, out + (n * params.groups + g) * outputs * win.plane() + win.offset(), win.plane());
  });
  if (scale.defined() || bias.defined()) {
    each_channel(result, [&](int64_t c, auto plane) {
      const double factor = scale.defined() ? scale.data<double>()[c] : 1;
      const double shift = bias.defined() ? bias.data<double>()[c] : 0;
      for (int64_t n = 0; n < result[0]; ++n) {
        for (int64_t i = 0; i < all.plane(); ++i) out[plane(n) + i] = out[plane(n) + i] * factor + shift;
      }
    });
  }
  if (then.residual.defined()) y.add_(then.residual);
  for (int64_t i = 0; then.relu && i < y.numel(); ++i) out[i] = out[i] < 0 ? 0 : out[i];  // NaN stays
  return y;
}

Tensor Reference::conv2d_backward_data(const Tensor& given, const Tensor& weight, const Conv2dParams& params, const Shape& x) {
  Tensor g = given.plain(), dx = Tensor::empty(x, DType::f64);
  dx.fill_(0);
  const Windows all = windows(x, weight.shape(), g.shape(), params);
  int64_t outputs = weight.size(0) / params.groups, in_size = all.channels * all.h * all.w;
  std::vector<double> columns;
  double* out = dx.mutable_data<double>();
  each_part(all, x[0], [&](int64_t n, int64_t group, const Windows& win) {
    columns.resize(size_t(win.rows() * win.columns()));
    gemm(true, false, win.rows(), win.columns(), outputs, 1.0, weight.data<double>() + group * outputs * win.rows(), win.rows(),
         g.data<double>() + (n * params.groups + group) * outputs * win.plane() + win.offset(), win.plane(), 0.0,
         columns.data(), win.columns());
    double* image = out + (n * params.groups + group) * in_size;
    win.each([&](int64_t column, int64_t pixel) { image[pixel] += columns[size_t(column)]; });
  });
  return dx;
}

ConvWeightGradients Reference::conv2d_backward_weights(const Tensor& given, const Tensor& x, const Shape& weight,
                                                       bool with_bias, const Conv2dParams& params) {
  Tensor g = given.plain();
  ConvWeightGradients d{Tensor::empty(weight, DType::f64), {}};
  d.weight.fill_(0);
  const Windows all = windows(x.shape(), weight, g.shape(), params);
  int64_t outputs = weight[0] / params.groups, in_size = all.channels * all.h * all.w;
  std::vector<double> columns;
  double* out = d.weight.mutable_data<double>();
  each_part(all, x.size(0), [&](int64_t n, int64_t group, const Windows& win) {
    const double* in = x.data<double>() + (n * params.groups + group) * in_size;
    columns.assign(size_t(win.rows() * win.columns()), 0.0);
    win.each([&](int64_t column, int64_t pixel) { columns[size_t(column)] = in[pixel]; });
    gemm(false, true, outputs, win.rows(), win.columns(), 1.0,
         g.data<double>() + (n * params.groups + group) * outputs * win.plane() + win.offset(), win.plane(), columns.data(),
         win.columns(), 1.0, out + group * outputs * win.rows(), win.rows());
  });
  if (with_bias) {
    d.bias = Tensor::empty({weight[0]}, DType::f64);
    double* sums = d.bias.mutable_data<double>();
    each_channel(g.shape(), [&](int64_t c, auto plane) {
      sums[c] = 0;
      for (int64_t n = 0; n < g.size(0); ++n) {
        for (int64_t i = 0; i < all.plane(); ++i) sums[c] += g.data<double>()[plane(n) + i];
      }
    });
  }
  return d;
}

namespace {

// Of one channel, in more digits: those of f64 leave a small variance beside a large mean.
struct Moments {
  long double mean = 0, variance = 0;
};

// plane(n) is the first element of image n's plane.
template <class Plane> Moments moments_of(const Tensor& x, Plane plane) {
  const double* in = x.data<double>();
  const int64_t images = x.size(0), plane_size = x.size(2) * x.size(3);
  const auto count = static_cast<long double>(images * plane_size);
  Moments moments;
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t i = plane(n); i < plane(n) + plane_size; ++i) moments.mean += in[i];
  }
  moments.mean /= count;
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t i = plane(n); i < plane(n) + plane_size; ++i) {
      moments.variance += (in[i] - moments.mean) * (in[i] - moments.mean) / count;
    }
  }
  return moments;
}

}  // namespace

BatchNormResult Reference::batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params,
                                      const Then& then) {
  const bool given = !params.training;
  Shape channels{x.size(1)};
  BatchNormResult r{Tensor::empty(x.shape(), DType::f64), given ? norm.mean : Tensor::empty(channels, DType::f64),
                    given ? norm.var : Tensor::empty(channels, DType::f64)};
  const double *in = x.data<double>(), *added = then.residual.defined() ? then.residual.data<double>() : nullptr;
  double* out = r.y.mutable_data<double>();
  int64_t images = x.size(0), plane_size = x.size(2) * x.size(3);
  each_channel(x.shape(), [&](int64_t c, auto plane) {
    const Moments moments = given ? Moments{norm.mean.data<double>()[c], norm.var.data<double>()[c]} : moments_of(x, plane);
    if (!given) {
      static_cast<double*>(r.mean.raw())[c] = double(moments.mean);
      static_cast<double*>(r.var.raw())[c] = double(moments.variance);
    }
    const long double scale = norm.gamma.data<double>()[c] / std::sqrt(moments.variance + params.eps);
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t i = plane(n); i < plane(n) + plane_size; ++i) {
        const auto y = double((in[i] - moments.mean) * scale + norm.beta.data<double>()[c] + (added ? added[i] : 0));
        out[i] = then.relu && y < 0 ? 0 : y;
      }
    }
  });
  return r;
}

BatchNormGradients Reference::batch_norm_backward(const Tensor& first, const Tensor& more, const BatchNormForward& forward) {
  const Tensor& x = forward.x;
  const NormTensors& norm = forward.norm;
  Tensor g = first.plain().clone();
  if (more.defined()) g.add_(more);
  if (forward.relu) {
    Tensor y = forward.y.defined() ? forward.y : batch_norm(x, norm, {.training = false, .eps = forward.params.eps}, {}).y;
    const double* result = y.data<double>();
    double* passed = g.mutable_data<double>();
    for (int64_t i = 0; i < g.numel(); ++i) passed[i] = result[i] > 0 ? passed[i] : 0;
  }
  Tensor dx = Tensor::empty(x.shape(), DType::f64), dgamma = Tensor::empty(norm.gamma.shape(), DType::f64),
         dbeta = Tensor::empty(norm.gamma.shape(), DType::f64);
  const double *in = x.data<double>(), *up = g.data<double>();
  double* out = dx.mutable_data<double>();
  int64_t images = x.size(0), plane_size = x.size(2) * x.size(3);
  const auto count = static_cast<long double>(images * plane_size);
  each_channel(x.shape(), [&](int64_t c, auto plane) {
    const bool given = !forward.params.training;
    const Moments moments = given ? Moments{norm.mean.data<double>()[c], norm.var.data<double>()[c]} : moments_of(x, plane);
    const long double rstd = 1 / std::sqrt(moments.variance + forward.params.eps);
    const auto normalised = [&](int64_t i) { return (in[i] - moments.mean) * rstd; };
    long double sum = 0, product = 0;
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t i = plane(n); i < plane(n) + plane_size; ++i) {
        sum += up[i];
        product += up[i] * normalised(i);
      }
    }
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t i = plane(n); i < plane(n) + plane_size; ++i) {
        const long double through = given ? 0 : (sum + normalised(i) * product) / count;
        out[i] = double(norm.gamma.data<double>()[c] * rstd * (up[i] - through));
      }
    }
    static_cast<double*>(dgamma.raw())[c] = double(product);
    static_cast<double*>(dbeta.raw())[c] = double(sum);
  });
  return {dx, dgamma, dbeta, forward.y.defined() ? g : Tensor()};
}

namespace {

// Calls body(result element, first element of the input's plane, window bounds) for every result of [n,c,h',w'].
template <class Body> void each_window(const Shape& x, const Shape& y, const Pool2dParams& p, Body body) {
  for (int64_t nc = 0, out = 0; nc < y[0] * y[1]; ++nc) {
    for (int64_t i = 0; i < y[2]; ++i) {
      for (int64_t j = 0; j < y[3]; ++j, ++out) {
        int64_t top = i * p.stride.h - p.padding.h, left = j * p.stride.w - p.padding.w;
        body(out, [&](auto f) {
          for (int64_t a = std::max<int64_t>(top, 0); a < std::min(top + p.kernel.h, x[2]); ++a) {
            for (int64_t b = std::max<int64_t>(left, 0); b < std::min(left + p.kernel.w, x[3]); ++b)
              f((nc * x[2] + a) * x[3] + b);
          }
        });
      }
    }
  }
}

}  // namespace

PoolResult Reference::pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) {
  PoolResult r{Tensor::empty(result, DType::f64), kind == Pool::max ? Tensor::empty(result, DType::i64) : Tensor()};
  const double* in = x.data<double>();
  double* out = r.y.mutable_data<double>();
  double area = double(params.kernel.h * params.kernel.w);
  each_window(x.shape(), result, params, [&](int64_t o, auto window) {
    int64_t best = -1;
    double total = 0;
    window([&](int64_t i) {
      total += in[i];
      if (best < 0 || in[i] > in[best] || in[i] != in[i]) best = i;  // NaN wins
    });
    out[o] = kind == Pool::max ? in[best] : total / area;
    if (kind == Pool::max) static_cast<int64_t*>(r.indices.raw())[o] = best;
  });
  return r;
}

Tensor Reference::pool2d_backward(Pool kind, const Tensor& given, const PoolResult& forward, const TensorForm& x,
                                  const Pool2dParams& params) {
  Tensor g = given.plain(), dx = Tensor::empty(x.shape, DType::f64);
  dx.fill_(0);
  double* out = dx.mutable_data<double>();
  double area = double(params.kernel.h * params.kernel.w);
  each_window(x.shape, g.shape(), params, [&](int64_t o, auto window) {
    double up = g.data<double>()[o];
    if (kind == Pool::max)
      out[forward.indices.data<int64_t>()[o]] += up;
    else
      window([&](int64_t i) { out[i] += up / area; });
  });
  return dx;
}

}  // namespace az
