#include <cstddef>
#include <cstdint>

#include "core/base/error.h"
#include "data/cifar.h"

// Any bytes either parse to whole records with labels in range or are refused with a DataError; anything else is a bug.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const auto* format : {&az::data::cifar10_format(), &az::data::cifar100_format()}) {
    az::data::DatasetContent content{
        .image_shape = {3, 32, 32}, .pixels = {}, .labels = {}, .class_count = format->class_count, .class_names = {}};
    try {
      az::data::parse_cifar(*format, "fuzz", 0, {data, size}, content);
    } catch (const az::DataError&) {
      continue;
    }
    az::data::Dataset{std::move(content)};
  }
  return 0;
}
