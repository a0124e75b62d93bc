#include "core/backend/peak.h"

#include <algorithm>

#include "core/backend/onednn/detail.h"
#include "core/base/clock.h"

namespace az {
namespace {

constexpr int64_t side = 2048;
constexpr double flops = 2.0 * side * side * side;

onednn::Held matrix_in(const dnnl::memory::desc& desc, DType type) {
  return onednn::packed(Tensor::empty({side, side}, type).fill_(0.5), onednn::form_of(desc));
}

}  // namespace

double measured_peak_flops(DType type) try {
  const auto any = onednn::any_desc({side, side}, type);
  const auto desc = onednn::refusing(
      "matmul", [&] { return onednn::matmul_desc(onednn::engine(), any, any, any, onednn::lent_scratchpad()); });
  const auto product = onednn::refusing("matmul", [&] { return dnnl::matmul(desc); });
  const onednn::Held a = matrix_in(desc.src_desc(), type), b = matrix_in(desc.weights_desc(), type),
                     c = matrix_in(desc.dst_desc(), type);
  double best = 1e30;
  for (const double begin = steady_seconds(); steady_seconds() - begin < 0.5;) {
    const double start = steady_seconds();
    onednn::execute(
        product, desc.scratchpad_desc(),
        {{DNNL_ARG_SRC, onednn::memory_of(a)}, {DNNL_ARG_WEIGHTS, onednn::memory_of(b)}, {DNNL_ARG_DST, onednn::memory_of(c)}});
    best = std::min(best, steady_seconds() - start);
  }
  return flops / best;
} catch (const Error&) {
  return 0;
}

}  // namespace az
