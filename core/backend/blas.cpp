#include "core/backend/blas.h"

#include <cblas.h>
#include <dnnl.h>

#include "core/error.h"

namespace az {

void gemm(const Gemm& s, const float* a, const float* b, double beta, float* c) {
  if (s.m == 0 || s.n == 0) return;
  dnnl_status_t status = dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1, a, s.lda, b, s.ldb,
                                    float(beta), c, s.ldc);
  if (status != dnnl_success) fail("gemm: oneDNN refused a product of {}x{}x{} (status {})", s.m, s.k, s.n, int(status));
}

void gemm(const Gemm& s, const double* a, const double* b, double beta, double* c) {
  if (s.m == 0 || s.n == 0) return;
  cblas_dgemm(CblasRowMajor, s.transpose_a ? CblasTrans : CblasNoTrans, s.transpose_b ? CblasTrans : CblasNoTrans, int(s.m),
              int(s.n), int(s.k), 1, a, int(s.lda), b, int(s.ldb), beta, c, int(s.ldc));
}

}  // namespace az
