#include "data/splits.h"

#include "core/error.h"

namespace az::data {

void check_options(const DataOptions& options, const Shape& shape, int64_t count) {
  int64_t training = count;
  if (options.validation > 0) training -= held_out_count(options.validation, count);
  if (options.subset) training = held_out_count(*options.subset, training, "subset");
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
