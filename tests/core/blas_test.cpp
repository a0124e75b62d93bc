#include "core/backend/blas.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"

using namespace az;

TEST_CASE("eigh: unit eigenvectors that a matrix stretches by its eigenvalues, in ascending order") {
  for (int64_t n : {1, 2, 12, 75}) {
    CAPTURE(n);
    Philox random(uint64_t(n), 0, 0);
    std::vector<double> a(size_t(n * n));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) a[size_t(i * n + j)] = a[size_t(j * n + i)] = random.normal();
    }
    const Eigen e = eigh(n, a);
    for (int64_t k = 0; k < n; ++k) {
      const double* v = e.vectors.data() + k * n;
      if (k > 0) CHECK(e.values[size_t(k)] >= e.values[size_t(k - 1)]);
      double largest = 0;
      for (int64_t i = 0; i < n; ++i) {
        double av = 0;
        for (int64_t j = 0; j < n; ++j) av += a[size_t(i * n + j)] * v[j];
        CHECK(std::abs(av - e.values[size_t(k)] * v[i]) < 1e-12 * double(n));
        if (std::abs(v[i]) > std::abs(largest)) largest = v[i];
      }
      CHECK(largest > 0);
      for (int64_t other = 0; other < n; ++other) {
        double product = 0;
        for (int64_t i = 0; i < n; ++i) product += v[i] * e.vectors[size_t(other * n + i)];
        CHECK(std::abs(product - (other == k)) < 1e-12 * double(n));
      }
    }
  }
  const Eigen known = eigh(2, {2, 1, 1, 2});
  CHECK(known.values[0] == doctest::Approx(1));
  CHECK(known.values[1] == doctest::Approx(3));
  CHECK(known.vectors[2] == doctest::Approx(std::sqrt(0.5)));
  CHECK(known.vectors[3] == doctest::Approx(std::sqrt(0.5)));
  CHECK_THROWS_WITH_AS(eigh(2, {1, 2, 3}), "eigh: 3 elements are no matrix of 2 x 2", Error);
}
