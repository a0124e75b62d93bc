#pragma once

#include <cstring>

#include "core/tensor/tensor.h"

namespace az::optim {

// Tells whether a gradient was written to: by its version, and in debug builds by its bytes, for what writes past
// mutable_data().
class GuardedGradient {
 public:
  explicit GuardedGradient(const Tensor& gradient) : gradient_(gradient), version_(gradient.storage()->version()) {
#ifndef NDEBUG
    before_ = gradient.detach().clone();
#endif
  }
  bool changed() const {
    if (gradient_.storage()->version() != version_) return true;
    return before_.defined() && std::memcmp(before_.raw(), gradient_.raw(), gradient_.storage()->bytes()) != 0;
  }

 private:
  const Tensor& gradient_;
  uint64_t version_;
  Tensor before_;
};

}  // namespace az::optim
