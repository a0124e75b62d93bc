#include "core/backend/peak.h"

#include <doctest/doctest.h>

#include "core/backend/info.h"
#include "tests/compare.h"

namespace az::test {

TEST_CASE("peak: a number type that oneDNN has no product for has none, and the others have one") {
  CHECK(measured_peak_flops(DType::f64) == 0);
  CHECK(measured_peak_flops(DType::i64) == 0);
  CHECK(measured_peak_flops(DType::f32) > 0);
  if (has_bf16()) CHECK(measured_peak_flops(DType::bf16) > 0);
}

TEST_CASE("info: the compiler goes by its own name") {
#if defined(__clang__)
  CHECK(backend_info().compiler == "Clang " __clang_version__);
#else
  CHECK(backend_info().compiler == "GCC " __VERSION__);
#endif
}

}  // namespace az::test
