#pragma once

#include <cstdint>

namespace az {

struct Gemm {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;  // elements from one stored row to the next
};
// C = op(A) op(B) + beta C, row-major; op(A) is m x k, op(B) k x n. f32 through oneDNN, f64 through OpenBLAS, the faster in each.
void gemm(const Gemm& shape, const float* a, const float* b, double beta, float* c);
void gemm(const Gemm& shape, const double* a, const double* b, double beta, double* c);

}  // namespace az
