#include "core/kernels/channel_sums.h"

#include <algorithm>

#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/tensor/dtype.h"

namespace az {
namespace {

// Adds `rows` rows of `block` numbers to `into`.
template <class T> AZ_MULTIVERSION void add_rows(const T* x, int64_t rows, int64_t block, double* into) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t lane = 0; lane < block; ++lane) into[lane] += double(x[row * block + lane]);
  }
}

}  // namespace

template <class T> std::vector<float> channel_sums(const T* x, const ImageShape& shape) {
  std::vector<double> sums(size_t(shape.blocks() * shape.block));
  parallel_for(shape.blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t n = 0; n < shape.n; ++n)
        add_rows(x + (n * shape.blocks() + block) * shape.plane(), shape.h * shape.w, shape.block,
                 sums.data() + block * shape.block);
    }
  });
  return {sums.begin(), sums.begin() + shape.c};
}
template std::vector<float> channel_sums(const float*, const ImageShape&);
template std::vector<float> channel_sums(const bf16*, const ImageShape&);

}  // namespace az
