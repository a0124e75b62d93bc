#pragma once

#include <functional>

#include "nn/module.h"

namespace az::nn {

// While one lives, on its thread: how many samples the batches have that a network is built for.
class BatchSize {
 public:
  explicit BatchSize(int64_t samples);
  ~BatchSize();
  BatchSize(const BatchSize&) = delete;

 private:
  int64_t before_;
};

// Calls try_on(input). Where that throws, `input` is of one sample and a layer of one's own is in the module, which may need
// more: try_on of as many samples as a batch has, and of 2, 4, 8 ... 64, until one is taken. Where none is, throws what one
// sample led to, and says with how many it was tried.
void with_enough_samples(const Module& module, const Shape& input, const std::function<void(const Shape&)>& try_on);

// `shape` where its first axis is of `tried` samples, for `given` of them.
Shape for_samples(Shape shape, int64_t tried, int64_t given);

}  // namespace az::nn
