#include "data/splits.h"

#include "core/error.h"

namespace az::data {

Splits make_splits(const Dataset& train, const Dataset& test, const DataOptions& options) {
  if (train.image_shape() != test.image_shape() || train.class_count() != test.class_count()) {
    fail("data: training images are {} of {} classes, test images {} of {}", train.image_shape().str(), train.class_count(),
         test.image_shape().str(), test.class_count());
  }
  Splits splits{.train = train, .validation = {}, .test = test, .training = {}, .evaluation = {}};
  if (options.validation > 0) {
    HeldOut parts = hold_out(train, {.amount = options.validation, .seed = uint64_t(options.split_seed)});
    splits.train = parts.rest;
    splits.validation = parts.held_out;
  }
  if (options.mean) {
    splits.train.set_statistics({*options.mean, *options.std});
  } else if (splits.validation) {
    splits.train.set_statistics(splits.train.compute_statistics());
  }
  splits.test.set_statistics(splits.train.statistics());
  if (splits.validation) splits.validation->set_statistics(splits.train.statistics());

  if (options.drop_last && splits.train.count() < options.batch_size) {
    throw ConfigError(fmt::format("drop_last leaves no batch: {} training images are fewer than batch_size {}",
                                  splits.train.count(), options.batch_size));
  }
  splits.training = {.batch_size = options.batch_size, .shuffle = true, .drop_last = options.drop_last};
  for (const auto& augmentation : options.augment) splits.training.augment.push_back(augmentation.create());
  splits.evaluation = {.batch_size = options.batch_size};
  return splits;
}

}  // namespace az::data
