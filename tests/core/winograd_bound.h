#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/tensor/create.h"
#include "tests/core/own_kernels.h"

// What rounding can come to in Winograd's F(4x4, 3x3), from its matrices as Lavin and Gray give them (arXiv 1509.09308, section
// 4).
namespace az::winograd_bound {

using Matrix = std::vector<std::vector<double>>;
inline const Matrix image = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                             {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr double s6 = 1. / 6, s12 = 1. / 12, s24 = 1. / 24;
inline const Matrix kernel = {{.25, 0, 0}, {-s6, -s6, -s6}, {-s6, s6, -s6}, {s24, s12, s6}, {s24, -s12, s6}, {0, 0, 1}};
inline const Matrix result = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

inline Matrix transposed(const Matrix& m) {
  Matrix t(m[0].size(), std::vector<double>(m.size()));
  for (size_t i = 0; i < m.size(); ++i)
    for (size_t j = 0; j < m[0].size(); ++j) t[j][i] = m[i][j];
  return t;
}

// |m| |d| |m|^T
inline Matrix sizes(const Matrix& m, const Matrix& d) {
  Matrix half(m.size(), std::vector<double>(d[0].size())), all(m.size(), std::vector<double>(m.size()));
  for (size_t i = 0; i < m.size(); ++i)
    for (size_t j = 0; j < d[0].size(); ++j)
      for (size_t k = 0; k < d.size(); ++k) half[i][j] += std::abs(m[i][k] * d[k][j]);
  for (size_t i = 0; i < m.size(); ++i)
    for (size_t j = 0; j < m.size(); ++j)
      for (size_t k = 0; k < d[0].size(); ++k) all[i][j] += half[i][k] * std::abs(m[j][k]);
  return all;
}

// The S x S pixels from (y, x) on of plane (n, c), 0 outside.
inline Matrix patch(const Tensor& t, int64_t n, int64_t c, int64_t y, int64_t x, int64_t side) {
  Matrix pixels(static_cast<size_t>(side), std::vector<double>(static_cast<size_t>(side)));
  const double* values = t.data<double>() + (n * t.size(1) + c) * t.size(2) * t.size(3);
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j)
      if (y + i >= 0 && x + j >= 0 && y + i < t.size(2) && x + j < t.size(3))
        pixels[size_t(i)][size_t(j)] = values[(y + i) * t.size(3) + x + j];
  return pixels;
}

// What the numbers add up to that are summed for each element, with their signs taken off: an error of (terms) u of it is the
// most that roundings can come to, with `terms` roundings on the way from an operand to a result (Higham 2002, section 3.1).
inline Tensor bound_of_y(const Tensor& x, const Tensor& w, const Shape& y, Size2 padding) {
  Tensor bound = zeros(y, DType::f64);
  double* to = bound.mutable_data<double>();
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t o = 0; o < y[1]; ++o)
      for (int64_t i = 0; i < y[2]; i += 4)
        for (int64_t j = 0; j < y[3]; j += 4) {
          Matrix m(6, std::vector<double>(6));
          for (int64_t c = 0; c < x.size(1); ++c) {
            const Matrix d = sizes(image, patch(x, n, c, i - padding.h, j - padding.w, 6)),
                         g = sizes(kernel, patch(w, o, c, 0, 0, 3));
            for (size_t k = 0; k < 36; ++k) m[k / 6][k % 6] += d[k / 6][k % 6] * g[k / 6][k % 6];
          }
          const Matrix tile = sizes(result, m);
          for (int64_t a = 0; a < std::min<int64_t>(4, y[2] - i); ++a)
            for (int64_t b = 0; b < std::min<int64_t>(4, y[3] - j); ++b)
              to[((n * y[1] + o) * y[2] + i + a) * y[3] + j + b] = tile[size_t(a)][size_t(b)];
        }
  return bound;
}
inline Tensor bound_of_dw(const Tensor& x, const Tensor& g, const Shape& w, Size2 padding) {
  Tensor bound = zeros(w, DType::f64);
  double* to = bound.mutable_data<double>();
  for (int64_t o = 0; o < w[0]; ++o)
    for (int64_t c = 0; c < w[1]; ++c) {
      Matrix m(6, std::vector<double>(6));
      for (int64_t n = 0; n < x.size(0); ++n)
        for (int64_t i = 0; i < g.size(2); i += 4)
          for (int64_t j = 0; j < g.size(3); j += 4) {
            const Matrix d = sizes(image, patch(x, n, c, i - padding.h, j - padding.w, 6)),
                         e = sizes(transposed(result), patch(g, n, o, i, j, 4));
            for (size_t k = 0; k < 36; ++k) m[k / 6][k % 6] += d[k / 6][k % 6] * e[k / 6][k % 6];
          }
      const Matrix taps = sizes(transposed(kernel), m);
      for (size_t k = 0; k < 9; ++k) to[(o * w[1] + c) * 9 + int64_t(k)] = taps[k / 3][k % 3];
    }
  return bound;
}

// Of which the convolution with a gradient gives that of the images: turned by half a turn, outputs and inputs exchanged.
inline Tensor flip_and_exchange(const Tensor& w) {
  const int64_t outputs = w.size(0), inputs = w.size(1);
  const Tensor turned = Tensor::empty({inputs, outputs, 3, 3}, DType::f64);
  for (int64_t i = 0; i < turned.numel(); ++i)
    turned.mutable_data<double>()[i] = w.data<double>()[(i / 9 % outputs * inputs + i / 9 / outputs) * 9 + 8 - i % 9];
  return turned;
}

// The largest error, as a share of what it may be.
inline double worst(const Tensor& found, const Tensor& right, const Tensor& bound, int64_t terms) {
  const auto f = found.to_vector<double>(), r = right.to_vector<double>(), b = bound.to_vector<double>();
  double share = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    const double error = std::abs(f[i] - r[i]);
    if (!(error <= double(terms) * u * b[i])) return INFINITY;
    if (b[i] > 0) share = std::max(share, error / (double(terms) * u * b[i]));
  }
  return share;
}

}  // namespace az::winograd_bound
