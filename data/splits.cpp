#include "data/splits.h"

#include "core/error.h"

namespace az::data {

namespace {

// Images that are left of `count` to train on.
int64_t training_count(const DataOptions& options, int64_t count) {
  if (options.validation > 0) count -= held_out_count(options.validation, count);
  return options.subset ? held_out_count(*options.subset, count, "subset") : count;
}

}  // namespace

int64_t batches_of(const DataOptions& options, int64_t count) {
  return batches_of(training_count(options, count), {.batch_size = options.batch_size, .drop_last = options.drop_last});
}

void check_options(const DataOptions& options, const Shape& shape, int64_t count) {
  const int64_t training = training_count(options, count);
  for (const auto& [name, given] : {std::pair{"mean", &options.mean}, {"std", &options.std}}) {
    if (*given && int64_t((*given)->size()) != shape[0])
      config::invalid_option(name,
                             fmt::format("takes one number for each of the {} channels, got {}", shape[0], (*given)->size()));
  }
  if (options.drop_last && training < options.batch_size) {
    config::invalid_option("drop_last", fmt::format("leaves no batch: {} training images are fewer than batch_size {}", training,
                                                    options.batch_size));
  }
  for (const auto& augmentation : options.augment) augmentation.placed([&] { augmentation.create()->check(shape); });
}

Splits make_splits(const Dataset& train, const Dataset& test, const DataOptions& options) {
  if (train.image_shape() != test.image_shape() || train.class_count() != test.class_count()) {
    fail("data: training images are {} of {} classes, test images {} of {}", train.image_shape().str(), train.class_count(),
         test.image_shape().str(), test.class_count());
  }
  if (train.count() == 0 || test.count() == 0)
    fail("data: there are {} training images and {} test images; both parts need some", train.count(), test.count());
  check_options(options, train.image_shape(), train.count());
  Splits splits{.train = train, .validation = {}, .test = test, .training = {}, .evaluation = {}};
  if (options.validation > 0) {
    HeldOut parts = hold_out(train, {.amount = options.validation, .seed = uint64_t(options.split_seed)});
    splits.train = parts.rest;
    splits.validation = parts.held_out;
  }
  if (options.subset)
    splits.train = hold_out(splits.train, {.amount = *options.subset, .seed = uint64_t(options.split_seed)}).held_out;
  if (options.mean) {
    splits.train.set_statistics({*options.mean, *options.std});
  } else if (splits.validation || options.subset) {
    splits.train.set_statistics(splits.train.compute_statistics());
  }
  splits.test.set_statistics(splits.train.statistics());
  if (splits.validation) splits.validation->set_statistics(splits.train.statistics());
  splits.training = {.batch_size = options.batch_size, .shuffle = true, .drop_last = options.drop_last};
  for (const auto& augmentation : options.augment) splits.training.augment.push_back(augmentation.create());
  splits.evaluation = {.batch_size = options.batch_size};
  return splits;
}

}  // namespace az::data
