#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "optim/optimizer.h"

// The update rules once more, in f64 and one scalar at a time, from the published descriptions: what the library is held
// against.
namespace model {

using Vector = std::vector<double>;

struct Weight {
  std::string name;
  az::Shape shape;
  Vector p, momentum = {}, m = {}, v = {};
  int t = 0;
  double start_norm = 0;

  size_t size() const { return p.size(); }
  size_t rows() const { return shape.rank() > 1 ? size_t(shape[0]) : 1; }
  size_t length() const { return size() / rows(); }
};

inline double dot(const Vector& a, const Vector& b, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += a[i] * b[i];
  return sum;
}

inline double norm(const Vector& a, size_t begin, size_t end) { return std::sqrt(dot(a, a, begin, end)); }

struct ProjectionModel {
  double delta, wd_ratio, eps;
  std::string when = "rule";
};
struct Outcome {
  az::optim::View view = az::optim::View::none;
  double ratio = 1;
};

// d loses its part along p, row by row of the first view whose cosines are all small.
inline Outcome project(const Weight& w, const Vector& g, Vector& d, const ProjectionModel& o) {
  if (w.shape.rank() < 2) return {};
  for (auto view : {az::optim::View::channel, az::optim::View::layer}) {
    const size_t length = view == az::optim::View::channel ? w.length() : w.size();
    double largest = 0;
    for (size_t at = 0; at < w.size(); at += length) {
      const double lengths = std::max(norm(g, at, at + length), o.eps) * std::max(norm(w.p, at, at + length), o.eps);
      largest = std::max(largest, std::fabs(dot(g, w.p, at, at + length)) / lengths);
    }
    const double threshold = o.delta / std::sqrt(double(length));
    if (o.when == "rule") REQUIRE(std::fabs(largest / threshold - 1) > 0.02);  // off the threshold, or rounding decides
    const std::string always = o.when == "channel" && w.length() == 1 ? "never" : o.when;
    if (o.when == "rule" ? largest >= threshold : always != az::optim::name_of(view)) continue;
    for (size_t at = 0; at < w.size(); at += length) {
      const double divisor = norm(w.p, at, at + length) + o.eps;
      Vector unit(w.size());
      for (size_t i = at; i < at + length; ++i) unit[i] = w.p[i] / divisor;
      const double along = dot(unit, d, at, at + length);
      for (size_t i = at; i < at + length; ++i) d[i] -= unit[i] * along;
    }
    return {view, o.wd_ratio};
  }
  return {};
}

struct Random {
  std::mt19937_64 engine;
  double operator()() { return double(engine() >> 11) / double(1ull << 52) - 1; }  // [-1, 1)
};

// Adds to g's rows [begin, end) what makes cos(g, p) there equal `cosine`.
inline void set_cosine(Vector& g, const Vector& p, size_t begin, size_t end, double cosine) {
  const double pp = dot(p, p, begin, end), along = dot(g, p, begin, end) / pp;
  for (size_t i = begin; i < end; ++i) g[i] -= along * p[i];
  const double tangent = norm(g, begin, end), factor = cosine / std::sqrt(1 - cosine * cosine) * tangent / std::sqrt(pp);
  for (size_t i = begin; i < end; ++i) g[i] += factor * p[i];
}

// A gradient that makes the projection fire in `view` (in the layer view where rows are single numbers), or not at all.
template <class T> Vector gradient(const Weight& w, az::optim::View view, double delta, Random& random) {
  Vector g(w.size());
  for (double& x : g) x = random();
  if (w.shape.rank() > 1) {
    const size_t length = w.length();
    const bool channel = view == az::optim::View::channel && length > 1;
    for (size_t row = 0; row < w.rows() && length > 1; ++row) {
      const double cosine = channel ? 0.9 * delta / std::sqrt(double(length)) : 0.7;
      set_cosine(g, w.p, row * length, (row + 1) * length, row % 2 ? cosine : -cosine);
    }
    if (!channel) {
      const double share = view == az::optim::View::none ? 1.1 : 0.9;  // of the threshold
      set_cosine(g, w.p, 0, w.size(), share * delta / std::sqrt(double(w.size())));
    }
  }
  for (double& x : g) x = double(T(x));
  return g;
}

template <class T> az::Tensor tensor(const az::Shape& shape, const Vector& values) {
  return az::Tensor::of<T>(shape, std::vector<T>(values.begin(), values.end()));
}

// ||a - b|| / ||b||
inline double distance(const Vector& a, const Vector& b) {
  Vector difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  const double base = norm(b, 0, b.size());
  return base == 0 ? norm(difference, 0, a.size()) : norm(difference, 0, a.size()) / base;
}

}  // namespace model
