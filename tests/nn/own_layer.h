#pragma once

#include <functional>

#include "nn/module.h"

namespace az::test {

// A layer made of what a test gives.
class Own : public nn::Layer<Own> {
 public:
  using Function = std::function<Tensor(Own&, const Tensor&)>;
  using nn::Module::add_buffer, nn::Module::add_child, nn::Module::add_parameter, nn::Module::buffer, nn::Module::child,
      nn::Module::parameter;
  explicit Own(Function f = {}) : f_(std::move(f)) {}

 protected:
  Tensor forward(const Tensor& x) override { return f_ ? f_(*this, x) : x; }

 private:
  Function f_;
};

}  // namespace az::test
