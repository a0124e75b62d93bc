#include <dnnl.h>

#include "core/backend/blas.h"
#include "core/base/error.h"
#include "core/base/threads.h"

namespace az {

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  use_thread_count();
  auto status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  if (status != dnnl_success) fail("matmul: oneDNN refused a product of {} x {} x {} (status {})", m, k, n, int(status));
}

}  // namespace az
