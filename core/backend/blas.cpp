#include "core/backend/blas.h"

#include <cblas.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>

#include "core/base/error.h"
#include "core/base/threads.h"

// OpenBLAS has LAPACK's Fortran functions; the distribution's headers do not declare them.
extern "C" void dsyev_(const char* jobz, const char* uplo, const int* n, double* a, const int* lda, double* w, double* work,
                       const int* lwork, int* info);

namespace az {
namespace {

struct NoRoom : std::bad_alloc {
  const char* what() const noexcept override {
    return "OpenBLAS finds no room for its buffers, 128 MiB for each thread; raise the limit on memory (ulimit -v, ulimit -d), "
           "or "
           "use fewer threads";
  }
};

// Has to be called before any use of OpenBLAS. Where the system gives it no memory for its buffers, one for each thread and one
// for the caller, it asks for ever.
void prepare_openblas() {
  use_thread_count();
  static std::atomic<int> held = openblas_get_num_threads();  // since it was loaded
  const int wanted = std::max(thread_count(), openblas_get_num_threads()) + 1;
  if (wanted <= held) return;
  if (!openblas_has_room(wanted - held)) {
    throw NoRoom();
  }
  held = wanted;
}

}  // namespace

bool openblas_has_room(int buffers) {
  const size_t bytes = size_t(buffers) << 27;
  void* room = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return room != MAP_FAILED && ::munmap(room, bytes) == 0;
}

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  prepare_openblas();
  cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, int(m), int(n),
              int(k), alpha, a, int(lda), b, int(ldb), beta, c, int(ldc));
}

Eigen eigh(int64_t n, std::vector<double> a) {
  if (int64_t(a.size()) != n * n) fail("eigh: {} elements are no matrix of {} x {}", a.size(), n, n);
  Eigen result{std::vector<double>(size_t(n)), std::move(a)};
  if (n == 0) return result;
  prepare_openblas();
  const int size = int(n), room = std::max(1, 34 * size);
  std::vector<double> work(size_t(room), 0.0);
  int info = 0;
  // Fortran's columns are our rows: its lower triangle is our upper one, its eigenvector columns our rows.
  dsyev_("V", "L", &size, result.vectors.data(), &size, result.values.data(), work.data(), &room, &info);
  if (info != 0) fail("eigh: no eigenvalues of the {} x {} matrix (dsyev gives {})", n, n, info);
  for (auto row = result.vectors.begin(); row != result.vectors.end(); row += n) {
    const double largest = *std::max_element(row, row + n, [](double x, double y) { return std::abs(x) < std::abs(y); });
    if (largest < 0) std::transform(row, row + n, row, [](double x) { return -x; });
  }
  return result;
}

}  // namespace az
