#pragma once

#include <cstdint>
#include <vector>

namespace az {

// c [m,n] = alpha op(a) op(b) + beta c, row-major, op(x) = x or its transpose; a, b and c have rows lda, ldb and ldc elements
// apart. f32 by oneDNN, f64 by OpenBLAS: each measured to be the faster where it is used.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

// Eigenvalues, ascending, and unit eigenvectors, one a row of [n,n]; the largest element of each is positive.
struct Eigen {
  std::vector<double> values, vectors;
};
// Returns those of a symmetric matrix a [n,n], whose upper triangle LAPACK's dsyev reads. Throws when it does not converge.
Eigen eigh(int64_t n, std::vector<double> a);

// Says whether the system would give OpenBLAS memory for so many more of its buffers.
bool openblas_has_room(int buffers);

}  // namespace az
