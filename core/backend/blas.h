#pragma once

#include <cstdint>

namespace az {

// c [m,n] = alpha op(a) op(b) + beta c, row-major, op(x) = x or its transpose; a, b and c have rows lda, ldb and ldc elements apart.
// f32 by oneDNN, f64 by OpenBLAS: each measured to be the faster where it is used.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
          int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

}  // namespace az
