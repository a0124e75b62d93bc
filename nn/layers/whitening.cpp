#include "nn/layers/whitening.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/autograd.h"
#include "core/backend/blas.h"
#include "core/ops/conv.h"
#include "core/tensor/create.h"

namespace az::nn {

namespace {

// The patches of one image [c,h,w] as columns of [c * kernel^2, patches].
std::vector<double> columns_of(const float* image, int64_t channels, int64_t height, int64_t width, int64_t kernel) {
  std::vector<double> columns;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t dy = 0; dy < kernel; ++dy) {
      for (int64_t dx = 0; dx < kernel; ++dx) {
        for (int64_t y = 0; y + kernel <= height; ++y) {
          const float* row = image + (c * height + y + dy) * width + dx;
          columns.insert(columns.end(), row, row + width - kernel + 1);
        }
      }
    }
  }
  return columns;
}

}  // namespace

Whitening::Whitening(int64_t in_channels, const WhiteningOptions& options) : options_(config::checked("whitening", options)) {
  const int64_t d = in_channels * options.kernel * options.kernel;
  add_buffer("weight", Tensor::empty({2 * d, in_channels, options.kernel, options.kernel}));
  if (options.train_bias)
    add_parameter("bias", zeros({2 * d}), ParameterKind::bias);
  else
    add_buffer("bias", zeros({2 * d}));
  std::vector<double> identity(size_t(d * d), 0.0);
  for (int64_t i = 0; i < d; ++i) identity[size_t(i * d + i)] = 1;
  set(identity, std::vector<double>(size_t(d), 1.0), std::vector<double>(size_t(d), 0.0));
}

void Whitening::set(const std::vector<double>& vectors, const std::vector<double>& variances, const std::vector<double>& mean) {
  const size_t d = variances.size();
  std::vector<double> weight(2 * d * d), shift(2 * d);
  for (size_t i = 0; i < d; ++i) {
    const size_t row = d - 1 - i;  // eigenvalues come in ascending order
    const double factor = 1 / std::sqrt(std::max(variances[i], 0.0) + options_.eps);
    for (size_t j = 0; j < d; ++j) {
      weight[row * d + j] = factor * vectors[i * d + j];
      weight[(d + row) * d + j] = -weight[row * d + j];
      shift[row] -= weight[row * d + j] * mean[j];
    }
    shift[d + row] = -shift[row];
  }
  NoGrad no_grad;
  buffer("weight").copy_(Tensor::of(buffer("weight").shape(), weight));
  bias().copy_(Tensor::of(bias().shape(), shift));
}

void Whitening::initialize_from(const Tensor& x) {
  const Tensor images = x.to(DType::f32).plain();
  const int64_t n = images.size(0), channels = images.size(1), height = images.size(2), width = images.size(3);
  const int64_t k = options_.kernel, d = channels * k * k, patches = (height - k + 1) * (width - k + 1);
  if (n * patches < 2) fail("whitening: {} has {} patches; a covariance needs two", az::describe(x), n * patches);
  std::vector<double> covariance(size_t(d * d), 0.0), mean(size_t(d), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    const auto columns = columns_of(images.data<float>() + i * channels * height * width, channels, height, width, k);
    gemm(false, true, d, d, patches, 1.0, columns.data(), patches, columns.data(), patches, 1.0, covariance.data(), d);
    for (int64_t j = 0; j < d; ++j) {
      for (int64_t p = 0; p < patches; ++p) mean[size_t(j)] += columns[size_t(j * patches + p)];
    }
  }
  const double count = double(n * patches);
  for (double& m : mean) m /= count;
  for (int64_t i = 0; i < d; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      double& c = covariance[size_t(i * d + j)];
      c = c / count - mean[size_t(i)] * mean[size_t(j)];
    }
  }
  const Eigen eigen = eigh(d, covariance);
  set(eigen.vectors, eigen.values, mean);
}

Tensor Whitening::forward(const Tensor& x) { return conv2d(x, buffer("weight"), bias()); }

std::string Whitening::describe() const {
  const Shape& weight = buffer("weight").shape();
  return fmt::format("Whitening({} -> {}, kernel {})", weight[1], weight[0], weight[2]);
}

int64_t Whitening::multiply_adds(const Shape&, const Shape& output) const {
  const Tensor& weight = buffer("weight");
  return output.numel() * weight.numel() / weight.size(0);
}

}  // namespace az::nn
