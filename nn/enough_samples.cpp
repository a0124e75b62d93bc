#include "nn/enough_samples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <new>
#include <set>

namespace az::nn {
namespace {

thread_local int64_t batch_size = 1;

// Says whether some part of it is of a class that does not come with Azimuth, whose own are all in namespace az.
bool has_own(const Module& module) {
  const auto modules = module.modules();
  return std::any_of(modules.begin(), modules.end(),
                     [](const Module* part) { return !std::string(typeid(*part).name()).starts_with("N2az"); });
}

}  // namespace

BatchSize::BatchSize(int64_t samples) : before_(batch_size) { batch_size = samples; }
BatchSize::~BatchSize() { batch_size = before_; }

void with_enough_samples(const Module& module, const Shape& input, const std::function<void(const Shape&)>& try_on) {
  try {
    return try_on(input);
  } catch (const MemoryError&) {
    throw;
  } catch (Error& error) {
    if (input.rank() == 0 || input[0] != 1 || !has_own(module)) throw;
    std::set<int64_t> tried{1};
    for (const int64_t samples : {batch_size, int64_t(2), int64_t(4), int64_t(8), int64_t(16), int64_t(32), int64_t(64)}) {
      if (!tried.insert(samples).second) continue;
      try {
        return try_on(for_samples(input, 1, samples));
      } catch (const MemoryError&) {
        break;
      } catch (const std::bad_alloc&) {
        break;
      } catch (const Error&) {}
    }
    error.add(fmt::format("; it was tried with {} samples", fmt::join(tried, ", ")));
    throw;
  }
}

Shape for_samples(Shape shape, int64_t tried, int64_t given) {
  if (shape.rank() > 0 && shape[0] == tried) shape[0] = given;
  return shape;
}

}  // namespace az::nn
