#pragma once

#include <string>

namespace az {

// The path of the module that is running on this thread ("layer2.0.conv1"); errors start with it and recorded ops remember it.
// Errors name `op`, too: that whose gradient is being made. Both must outlive it.
class Scope {
 public:
  explicit Scope(const std::string& path, const char* op = nullptr);
  ~Scope();
  Scope(const Scope&) = delete;
  static const std::string& path();
  // What errors start with: "layer2.0.conv1: conv2d: backward", or "".
  static std::string place();

 private:
  const std::string* path_before_;
  const char* op_before_;
};

}  // namespace az
